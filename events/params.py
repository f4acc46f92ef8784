"""Query parameters: what may be asked, read from the address with every fault named at once."""

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from rest_framework import serializers
from rest_framework.request import Request

from apikeys.problems import Problem

MAX_OFFSET = 10**9
YEARS = range(2000, 2101)


class DayField(serializers.DateField):
    """A calendar day, exactly YYYY-MM-DD, in the years 2000 to 2100."""

    default_error_messages = {
        "format": "Write the date as YYYY-MM-DD.",
        "range": "The date must lie in the years 2000 to 2100.",
    }

    def to_internal_value(self, value: Any) -> date:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            self.fail("format")
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail("format")
        if day.year not in YEARS:
            self.fail("range")
        return day


class ZoneField(serializers.Field[ZoneInfo, str, str, Any]):
    """An IANA time zone by name."""

    default_error_messages = {"unknown": "Unknown time zone; use an IANA name like Europe/Berlin."}

    def to_internal_value(self, data: str) -> ZoneInfo:
        if data not in _zone_names():
            self.fail("unknown")
        return ZoneInfo(data)

    def to_representation(self, value: ZoneInfo) -> str:
        return value.key


class NameField(serializers.CharField):
    """An exact name, compared byte by byte; nothing is trimmed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)


class TagsField(NameField):
    """`key:value,key:value` (AND); split at the first `:`; `\\,` is a comma, `\\\\` a backslash."""

    default_error_messages = {
        "malformed": "Write tags as key:value,key:value; escape a comma as \\, and \\ as \\\\."
    }

    def to_internal_value(self, data: Any) -> list[tuple[str, str]]:  # type: ignore[override]
        text = super().to_internal_value(data)
        if not re.fullmatch(r"(?:[^\\]|\\[\\,])*", text, re.DOTALL):
            self.fail("malformed")
        # A pair is a run of escapes and of anything but a bare comma or backslash.
        pairs = re.findall(r"(?:^|,)((?:[^\\,]|\\[\\,])*)", text, re.DOTALL)
        return [self._split(re.sub(r"\\(.)", r"\1", pair)) for pair in pairs]

    def _split(self, pair: str) -> tuple[str, str]:
        key, colon, value = pair.partition(":")
        if not key or not colon:
            self.fail("malformed")
        return key, value


class MomentField(serializers.Field[date | datetime, str, str, Any]):
    """A calendar day (YYYY-MM-DD) or an instant (RFC 3339 with its offset)."""

    default_error_messages = {
        "format": "Write a date as YYYY-MM-DD or a time as RFC 3339 with its offset."
    }

    def to_internal_value(self, data: str) -> date | datetime:
        if "T" not in data.upper():
            return DayField().to_internal_value(data)
        try:
            instant = datetime.fromisoformat(data.upper())
        except ValueError:
            self.fail("format")
        if instant.tzinfo is None or instant.year not in YEARS:
            self.fail("format")
        return instant

    def to_representation(self, value: date | datetime) -> str:
        return value.isoformat()


class Address(serializers.Serializer[Any]):
    """The parameters of an address; this one has none."""


class Params(Address):
    """The parameters that every table takes."""

    format = serializers.ChoiceField(choices=["json", "csv"], default="json")


class PageParams(Params):
    """A page of a list; a CSV has all rows unless `limit` is given."""

    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=MAX_OFFSET)


def read_params(kind: type[Address], request: Request) -> dict[str, Any]:
    """The request's parameters, checked. Raises Problem 400 that lists every fault."""
    checked, faults = check_params(kind, request)
    refuse(faults)
    return checked


def check_params(
    kind: type[Address], request: Request, also: Iterable[str] = ()
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The parameters that are good, and every fault. `also` names parameters read elsewhere."""
    params = kind(data=request.query_params.dict())
    faults = [*_unknown(request, {*params.fields, *also}), *_repeated(request)]
    if params.is_valid():
        return params.validated_data, faults
    return {}, faults + [
        fault(name, error.code, str(error))
        for name, errors in params.errors.items()
        for error in errors
    ]


def refuse(faults: list[dict[str, str]]) -> None:
    """Raises Problem 400 if there are any."""
    if faults:
        names = ", ".join(dict.fromkeys(f"`{fault['parameter']}`" for fault in faults))
        raise Problem(400, f"Bad parameters: {names}.", errors=faults)


def fault(parameter: str, code: str, detail: str) -> dict[str, str]:
    """One entry of the `errors` of a bad request."""
    return {"parameter": parameter, "code": code, "detail": detail}


def _unknown(request: Request, known: Collection[str]) -> Iterator[dict[str, str]]:
    """A fault for every parameter that the endpoint does not have."""
    for name in request.query_params:
        if name not in known:
            yield fault(name, "unknown_parameter", f"Unknown parameter `{name}`.")


def _repeated(request: Request) -> Iterator[dict[str, str]]:
    """A fault for every parameter that is given twice: which one is meant cannot be known."""
    for name, values in request.query_params.lists():
        if len(values) > 1:
            yield fault(name, "repeated", f"Give `{name}` once.")


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())
