"""The JSON Schema of an event as it is sent, from the type that decodes it."""

import msgspec

from config.openapi.shapes import Schema, nullable, said
from events.rules import MAX_TAG_VALUE
from events.schema import EventIn

NO_NUL = r"^[^\u0000]*$"

EVENT_FIELDS = {
    "id": "Your idempotency key, unique in the account for ever. Absent: the server makes one.",
    "timestamp": "RFC 3339 with offset, from 2015 to 24 hours ahead. Absent: time of receipt.",
    "model": "As the provider names it.",
    "provider": "Such as openai, anthropic, google.",
    "input_tokens": "Includes cache reads and writes.",
    "output_tokens": "Includes reasoning.",
    "cache_read_tokens": "Part of `input_tokens`.",
    "cache_write_tokens": "Part of `input_tokens`.",
    "reasoning_tokens": "Part of `output_tokens`.",
    "total_tokens": "If sent, it must equal `input_tokens` + `output_tokens`.",
    "cost_usd": "What the call cost. A number is rounded half-even to 10 places; a string with"
    " more places is refused. Absent: priced from the catalogue, else unknown.",
    "latency_ms": "How long the call took.",
    "success": "True if absent.",
    "error_type": "What kind of error, such as rate_limit.",
    "error_code": "The provider's code for it.",
    "entity_type": "Whom the call is attributed to: customer, team, project, employee, or a type"
    " of your own. Goes with `entity_id`.",
    "entity_id": "Goes with `entity_type`.",
    "session_id": "Calls that share it are the turns of one session.",
    "tags": "Numbers and booleans are stored as strings.",
}
COST: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0, "exclusiveMaximum": 10**9},
        {"type": "string", "pattern": r"^\d{1,9}(\.\d{1,10})?$"},
        {"type": "null"},
    ]
}
TAG_VALUE: Schema = {
    "type": ["string", "number", "boolean"],
    "maxLength": MAX_TAG_VALUE,
    "pattern": NO_NUL,
}


def event_in() -> Schema:
    """What a client may send as an event: the constraints of EventIn, explained."""
    schema: Schema = msgspec.json.schema(EventIn)["$defs"][EventIn.__name__]
    fields = {name: _as_sent(field) for name, field in schema["properties"].items()}
    fields["timestamp"]["format"] = "date-time"
    fields["cost_usd"] = COST
    fields["tags"]["additionalProperties"] = TAG_VALUE
    fields["tags"]["propertyNames"]["pattern"] = NO_NUL
    return {
        "type": "object",
        "properties": {name: said(field, EVENT_FIELDS[name]) for name, field in fields.items()},
        "required": schema["required"],
        "dependentRequired": {"entity_type": ["entity_id"], "entity_id": ["entity_type"]},
        "additionalProperties": schema["additionalProperties"],
    }


def _as_sent(field: Schema) -> Schema:
    """msgspec's "X or null" as one schema; and no text may hold a NUL."""
    kinds = field.get("anyOf", [field])
    found = nullable(kinds[0]) if len(kinds) > 1 else field
    return {"pattern": NO_NUL} | found if "string" in found.get("type", ()) else found
