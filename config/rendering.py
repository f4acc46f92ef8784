"""JSON out: exact decimals in plain notation, written by msgspec."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from events.money import json_number


def encode(data: Any) -> bytes:
    """`data` as JSON; a Decimal in it is money (events/money.py)."""
    return msgspec.json.encode(json_number(data))


class JSONRenderer(BaseRenderer):
    """Renders a Response's data."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else encode(data)


class JSONAlways(BaseContentNegotiation):
    """One representation only: `format=csv` is a parameter, so Accept decides nothing."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
