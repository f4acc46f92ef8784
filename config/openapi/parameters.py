"""Parameters for OpenAPI; those of the query from the fields that read them."""

from collections.abc import Iterator
from typing import Any

from django.http import QueryDict
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_field

from analytics.params import GroupByField
from analytics.periods import INTERVALS
from analytics.query import NAMES
from analytics.v2.params import NamesField
from analytics.views import AnalyticsView
from apikeys.params import AnyField
from config.openapi.operations import MOMENTS, PARAMETERS, Operation
from config.openapi.shapes import TEXT, Schema, many, words
from events.params import DayField, MomentField, NameField, PageParams, TagsField, ZoneField
from events.views import MAX_IDEMPOTENCY_KEY

FORM = ("limit", "offset", "format")

# Of comma-separated text: a character as it is, or one that is escaped.
_CHARACTER = r"(?:[^\u0000,\\]|\\[,\\])"
_PAIR = rf"(?:[^\u0000:,\\]|\\[,\\])+:{_CHARACTER}*"
_NAME = rf"(?:{'|'.join(NAMES)}|tags\.{_CHARACTER}+)"
_TIME = "|".join(INTERVALS)
_NAME_TEXT = TEXT | {"minLength": 1, "pattern": r"^[^\u0000]*$"}
SCHEMAS: dict[type, Schema] = {
    DayField: TEXT | {"format": "date"},
    MomentField: TEXT | {"anyOf": [{"format": "date"}, {"format": "date-time"}]},
    ZoneField: TEXT | {"format": "time-zone"},
    NameField: _NAME_TEXT,
    NamesField: many(_NAME_TEXT),
    TagsField: TEXT | {"pattern": f"^{_PAIR}(?:,{_PAIR})*$"},
    GroupByField: TEXT | {"pattern": f"^(?:{_NAME},)*(?:{_NAME}|{_TIME})(?:,{_NAME})*$"},
}
"""Of the fields that are our own; drf-spectacular knows the others."""
for _kind, _schema in SCHEMAS.items():
    extend_schema_field(_schema)(_kind)


def query_parameters(
    schema: AutoSchema, operation: Operation, example: dict[str, Any]
) -> list[OpenApiParameter]:
    """The parameters of the query, with the values of the example."""
    return [
        OpenApiParameter(
            name,
            _field_schema(schema, field),
            required=required,
            description=_words(operation, name, field),
            examples=_examples(name, example),
        )
        for name, field, required in _fields(schema.view, operation)
    ]


def path_parameters(example: dict[str, Any]) -> list[OpenApiParameter]:
    """The parameters of the path."""
    return [
        OpenApiParameter(
            name,
            SCHEMAS[NameField],
            OpenApiParameter.PATH,
            required=True,
            description=PARAMETERS[name],
            examples=_examples(name, example),
        )
        for name in example
    ]


def header_parameters() -> list[OpenApiParameter]:
    """The headers that may come with events."""
    schemas = {
        "Idempotency-Key": TEXT | {"minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY},
        "Content-Encoding": words(["gzip"]),
    }
    return [
        OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=PARAMETERS[name])
        for name, schema in schemas.items()
    ]


def _words(operation: Operation, name: str, field: AnyField) -> str:
    kind = MOMENTS if isinstance(field, MomentField) else PARAMETERS
    return operation.words.get(name) or kind[name]


def _fields(view: Any, operation: Operation) -> list[tuple[str, AnyField, bool]]:
    """Name, field, whether it is required; those first, those about the form of the answer last."""
    return sorted(_unsorted(view, operation), key=lambda found: (not found[2], found[0] in FORM))


def _unsorted(view: Any, operation: Operation) -> Iterator[tuple[str, AnyField, bool]]:
    address = (view.params if isinstance(view, AnalyticsView) else operation.params)()
    meant = address.meant(QueryDict())
    for name, field in address.fields.items():
        yield name, field, name in meant and field.required
    if operation.params is PageParams:
        for name, found in view.filterset.base_filters.items():
            yield name, found.extra["rule"], False


def _field_schema(schema: AutoSchema, field: AnyField) -> Schema:
    mapped: Schema = schema._map_serializer_field(field, "request")  # type: ignore[no-untyped-call]
    # What the field says for itself stands in PARAMETERS; the mark is for a hook we do not use.
    mapped.pop("description", None)
    mapped.pop("x-spec-enum-id", None)
    return mapped


def _examples(name: str, example: dict[str, Any]) -> list[OpenApiExample]:
    return [OpenApiExample("Example", example[name])] if name in example else []
