"""`/schema`: the OpenAPI document of this API."""

from functools import cache
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from apikeys.problems import Problem
from config.errors import error_response


def schema(request: HttpRequest) -> HttpResponse:
    """As YAML, or with `?format=json` as JSON."""
    match request.GET.get("format", "yaml"):
        case "yaml":
            return HttpResponse(as_yaml(), "application/yaml")
        case "json":
            return HttpResponse(as_json(), "application/json")
    detail = "Use yaml or json."
    fault = {"parameter": "format", "code": "invalid_choice", "detail": detail}
    return error_response(request, Problem(400, "Bad parameters: `format`.", errors=[fault]))


@cache
def as_yaml() -> bytes:
    """The document, as `manage.py spectacular` writes it."""
    written: bytes = OpenApiYamlRenderer().render(_document())  # type: ignore[no-untyped-call]
    return written


@cache
def as_json() -> bytes:
    """The document, its decimals as numbers."""
    return msgspec.json.Encoder(decimal_format="number").encode(_document())


def _document() -> Any:
    return SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
