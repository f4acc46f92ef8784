"""JSON Schemas in few words: the simple types, and what each key of a row is."""

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
MONEY: Schema = {"type": "number", "minimum": 0}
PERCENT: Schema = {"type": ["number", "null"]}
TIME: Schema = {"type": "string", "format": "date-time"}
DAY: Schema = {"type": "string", "format": "date"}


def ref(name: str) -> Schema:
    """A reference to one of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def said(schema: Schema, about: str) -> Schema:
    """`schema` with a description."""
    return schema | ({"description": about} if about else {})


def nullable(schema: Schema, about: str = "") -> Schema:
    """`schema`, or null."""
    return said(schema | {"type": [schema["type"], "null"]}, about)


def words(choices: Iterable[str], about: str = "") -> Schema:
    """One of a few words."""
    return said({"type": "string", "enum": list(choices)}, about)


def many(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def shape(*keys: str, **types: Schema) -> Schema:
    """An object with exactly these keys; one of `keys` without a type here has that of TYPES."""
    properties = {key: types.get(key) or TYPES[key] for key in [*keys, *types]}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TYPES: dict[str, Schema] = {
    "entity_type": nullable(TEXT, "Null: without an entity."),
    "entity_id": nullable(TEXT, "Null: without an entity."),
    "model": TEXT,
    "provider": TEXT,
    "session_id": TEXT,
    "timestamp": TIME,
    "cost": said(MONEY, "USD, exact; the sum of the costs that are known."),
    "events": COUNT,
    "total_cost": said(MONEY, "USD, exact; the sum of the costs that are known."),
    "total_events": COUNT,
    "total_tokens": COUNT,
    "total_input_tokens": COUNT,
    "total_output_tokens": COUNT,
    "total_cache_read_tokens": said(COUNT, "Part of the input tokens."),
    "total_cache_write_tokens": said(COUNT, "Part of the input tokens."),
    "total_reasoning_tokens": said(COUNT, "Part of the output tokens."),
    "avg_latency_ms": nullable(COUNT, "Over the events that have a latency, half up."),
    "failed_events": said(COUNT, "Events with `success` false."),
    "unpriced_events": said(COUNT, "Events without a cost: none reported, no price known."),
    "percentage_of_total": said(PERCENT, "Of everything that matched; null if that is 0."),
    "rank": {"type": "integer", "minimum": 1},
    "started_at": said(TIME, "The time of its first event."),
    "ended_at": said(TIME, "The time of its last event."),
    "turn_count": said({"type": "integer", "minimum": 1}, "Its events."),
    "input_tokens": said(COUNT, "Cache reads and writes included."),
    "output_tokens": said(COUNT, "Reasoning included."),
    "cache_read_tokens": said(COUNT, "Part of the input tokens."),
    "cache_write_tokens": said(COUNT, "Part of the input tokens."),
    "cache_write_1h_tokens": said(COUNT, "Part of `cache_write_tokens`."),
    "reasoning_tokens": said(COUNT, "Part of the output tokens."),
    "service_tier": words(["standard", "batch", "flex", "priority"]),
    "cost_source": words(["unpriced", "reported", "computed", "repriced"]),
    "cost_usd": nullable(MONEY, "Reported, else computed from the catalogue, else null."),
    "latency_ms": nullable(COUNT),
    "success": FLAG,
    "error_type": nullable(TEXT),
    "error_code": nullable(TEXT),
    "tags": {"type": "object", "additionalProperties": TEXT},
}
