"""An event as a row of the API."""

from typing import Any

from events.models import CostSource, Event
from events.price_models import ServiceTier

EVENT_COLUMNS = [
    "id",
    "timestamp",
    "model",
    "provider",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "latency_ms",
    "entity_type",
    "entity_id",
    "session_id",
    "tags",
    "success",
    "error_type",
    "error_code",
    "cache_write_1h_tokens",
    "service_tier",
    "cost_source",
]


def event_row(event: Event) -> dict[str, Any]:
    """The keys of EVENT_COLUMNS. `event` must have its dimensions joined."""
    assert event.model is not None
    values = (
        event.id,
        event.timestamp,
        event.model.model,
        event.model.provider,
        event.input_tokens,
        event.output_tokens,
        event.input_tokens + event.output_tokens,
        event.cache_read_tokens or 0,
        event.cache_write_tokens or 0,
        event.reasoning_tokens or 0,
        event.cost,
        event.latency_ms,
        event.entity and event.entity.entity_type,
        event.entity and event.entity.entity_id,
        event.session_id,
        event.tag_set.tags if event.tag_set else {},
        event.success,
        event.error_type,
        event.error_code,
        event.cache_write_1h_tokens or 0,
        ServiceTier(event.service_tier or 0).label,
        CostSource(event.cost_source).name.lower(),
    )
    return dict(zip(EVENT_COLUMNS, values, strict=True))
