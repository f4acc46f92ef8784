"""The JSON Schema of an event as it is sent, from the type that decodes it."""

import msgspec

from config.openapi.shapes import Schema, nullable, said
from events.price_schema import PriceIn
from events.rules import MAX_TAG_VALUE
from events.schema import EventIn

NO_NUL = r"^[^\u0000]*$"

EVENT_FIELDS = {
    "id": "Your idempotency key, unique in the account for ever. Absent: the server makes one.",
    "timestamp": "RFC 3339 with offset, from 2015 to 24 hours ahead. Absent: time of receipt.",
    "model": "As the provider names it.",
    "provider": "Such as openai, anthropic, google.",
    "input_tokens": "Includes cache reads and writes. Required, unless `usage` is sent.",
    "output_tokens": "Includes reasoning. Required, unless `usage` is sent.",
    "cache_read_tokens": "Part of `input_tokens`.",
    "cache_write_tokens": "Part of `input_tokens`.",
    "cache_write_1h_tokens": "Part of `cache_write_tokens`: what is kept for an hour.",
    "reasoning_tokens": "Part of `output_tokens`.",
    "total_tokens": "If sent, it must equal `input_tokens` + `output_tokens`.",
    "usage": "The provider's own usage object instead of the token fields, as OpenAI (chat,"
    " responses), Anthropic (messages), Gemini or Bedrock (Converse) sends it. Its shape is"
    " recognised by its keys; what else it holds is ignored and not stored.",
    "usage_convention": "`exclusive`: the cache tokens come beside `input_tokens`, not inside.",
    "service_tier": "At which of the provider's prices; `standard` if absent.",
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
PRICE_FIELDS = {
    "provider": "As events name it; case does not matter.",
    "model": "As events name it; case does not matter. What ends in `*` matches every name that"
    " begins so.",
    "unit": "What it is a price of. Units are disjoint parts of a call.",
    "usd_per_unit": "USD per token, or per call for `request`; exact, with up to 24 places.",
    "service_tier": "`standard` if absent.",
    "context_over": "Only for calls with more input tokens than this; 0 if absent.",
    "valid_from": "RFC 3339 with offset. Absent: from the beginning if this is the first version"
    " of the price, else from now on.",
}
USD: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0, "exclusiveMaximum": 10**6},
        {"type": "string", "pattern": r"^\d{1,6}(\.\d{1,24})?$"},
    ]
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
        "anyOf": [{"required": ["usage"]}, {"required": ["input_tokens", "output_tokens"]}],
        "dependentRequired": {"entity_type": ["entity_id"], "entity_id": ["entity_type"]},
        "additionalProperties": schema["additionalProperties"],
    }


def price_in() -> Schema:
    """What a client may send as a price."""
    schema: Schema = msgspec.json.schema(PriceIn)["$defs"][PriceIn.__name__]
    fields = {name: _as_sent(field) for name, field in schema["properties"].items()}
    fields["valid_from"]["format"] = "date-time"
    fields["usd_per_unit"] = USD
    return {
        "type": "object",
        "properties": {name: said(field, PRICE_FIELDS[name]) for name, field in fields.items()},
        "required": schema["required"],
        "additionalProperties": schema["additionalProperties"],
    }


def _as_sent(field: Schema) -> Schema:
    """msgspec's "X or null" as one schema; and no text may hold a NUL."""
    kinds = field.get("anyOf", [field])
    if "enum" in field:
        return {"type": "string", "enum": field["enum"]}
    if "enum" in kinds[0]:
        return {"type": ["string", "null"], "enum": [*kinds[0]["enum"], None]}
    found = nullable(kinds[0]) if len(kinds) > 1 else field
    return {"pattern": NO_NUL} | found if "string" in found.get("type", ()) else found
