"""What a client may send: one event's fields, checked with every error found, normalised.

A well-formed event is decoded by msgspec in about 2 µs; only one that fails is looked at field
by field, so that its answer names every fault at once.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

from events import money
from events.nesting import cut
from events.price_models import ServiceTier
from events.rules import RFC_3339, FieldError, cost_of, exact, instant_of, readable, tags_of
from events.tokens import Tokens
from events.usage import tier_in, tokens_of

Name = Annotated[str, Meta(min_length=1, max_length=200)]
ErrorText = Annotated[str, Meta(max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=10**12)]
TagKey = Annotated[str, Meta(min_length=1, max_length=100)]
Instant = Annotated[str, Meta(pattern=f"^{RFC_3339}$")]
INSTANT_FAULT = "Expected an RFC 3339 time with its offset, like 2025-01-15T10:30:00Z"
MALFORMED = "malformed"
MAX_TAGS = 50


class EventIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One event as it is sent. Anything else, above all content, is refused by name."""

    id: Name | None = None
    timestamp: Instant | None = None
    model: Name
    provider: Name
    # Required, unless `usage` is sent.
    input_tokens: Count = UNSET  # type: ignore[assignment]
    output_tokens: Count = UNSET  # type: ignore[assignment]
    cache_read_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_write_1h_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    total_tokens: Annotated[int, Meta(ge=0)] | None = None
    usage: dict[str, Any] | None = None
    usage_convention: Literal["inclusive", "exclusive"] | None = None
    service_tier: Literal["standard", "batch", "flex", "priority"] | None = None
    # By hand: a number is rounded, a string is not, so the two must stay apart.
    cost_usd: Any = None
    latency_ms: Count | None = None
    success: bool | None = None
    error_type: ErrorText | None = None
    error_code: ErrorText | None = None
    entity_type: Name | None = None
    entity_id: Name | None = None
    session_id: Name | None = None
    tags: Annotated[dict[TagKey, Any], Meta(max_length=MAX_TAGS)] | None = None


COUNTS = {name for name in EventIn.__struct_fields__ if name.endswith(("_tokens", "_ms"))}
SERVICE_TIERS = {tier.label: tier.value for tier in ServiceTier}
Fields = dict[str, msgspec.structs.FieldInfo]
FIELDS: Fields = {field.name: field for field in msgspec.structs.fields(EventIn)}


class InvalidEvent(Exception):
    """An event that cannot be stored; `id` is the client's where it could be read."""

    def __init__(self, errors: list[FieldError], id: str | None = None) -> None:
        super().__init__(errors)
        self.errors = errors
        self.id = id


@dataclass(slots=True)
class NewEvent:
    """A valid event, normalised: defaults filled in, times in UTC, cost exact."""

    id: str | None
    timestamp: datetime
    provider: str
    model: str
    entity: tuple[str, str] | None
    session_id: str | None
    tags: dict[str, str]
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    media_tokens: dict[str, int]
    service_tier: int
    reported_cost: Decimal | None
    latency_ms: int | None
    success: bool
    error_type: str | None
    error_code: str | None
    content: bytes
    """16-byte digest of what the client sent; the same id with another content is a conflict."""


_decoder = msgspec.json.Decoder(EventIn, float_hook=exact)


def parse_json(raw: bytes | msgspec.Raw, received_at: datetime) -> NewEvent:
    """Decode and check one event. Raises InvalidEvent with every fault found."""
    try:
        sent = _decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return _parse_loosely(bytes(raw), received_at)
    if b"\\u0000" in bytes(raw):  # the only way to write a NUL in JSON
        return _parse_loosely(bytes(raw), received_at)
    return normalise(sent, received_at)


def _parse_loosely(raw: bytes, received_at: datetime) -> NewEvent:
    try:
        item = decode_loosely(raw)
    except ValueError as error:
        fault = FieldError("", MALFORMED, f"Not readable as JSON: {error}.")
        raise InvalidEvent([fault]) from error
    return parse(item, received_at)


def parse(item: Any, received_at: datetime, *, strict: bool = True) -> NewEvent:
    """Check an event that is already decoded; `strict=False` also reads numbers in strings.

    Raises InvalidEvent with every fault found.
    """
    if not isinstance(item, dict):
        raise InvalidEvent([FieldError("", "invalid", "An event must be a JSON object.")])
    item = {name: whole(value) if name in COUNTS else value for name, value in item.items()}
    errors: list[FieldError] = []
    good = good_fields(FIELDS, item, strict, errors)
    if errors:
        _check_together(EventIn(**_completed(good, item)), received_at, errors)
        sent_id = item.get("id")
        raise InvalidEvent(errors, readable(sent_id) if isinstance(sent_id, str) else None)
    return normalise(EventIn(**good), received_at)


def normalise(sent: EventIn, received_at: datetime) -> NewEvent:
    """The rules that one field cannot tell. Raises InvalidEvent with every fault found."""
    errors: list[FieldError] = []
    timestamp, cost, tags, tokens = _check_together(sent, received_at, errors)
    if errors or tokens is None:
        raise InvalidEvent(errors, sent.id)
    event = NewEvent(
        id=sent.id,
        timestamp=timestamp or received_at,
        provider=sent.provider,
        model=sent.model,
        entity=(sent.entity_type, sent.entity_id) if sent.entity_type and sent.entity_id else None,
        session_id=sent.session_id,
        tags=tags,
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cache_read_tokens=tokens.cache_read_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        cache_write_1h_tokens=tokens.cache_write_1h_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
        media_tokens=tokens.media_tokens,
        service_tier=_service_tier(sent),
        reported_cost=cost,
        latency_ms=sent.latency_ms,
        success=sent.success is not False,
        error_type=sent.error_type,
        error_code=sent.error_code,
        content=b"",
    )
    event.content = content_digest(event, timestamp)
    return event


def _check_together(
    sent: EventIn, received_at: datetime, errors: list[FieldError]
) -> tuple[datetime | None, Decimal | None, dict[str, str], Tokens | None]:
    """The time, cost, tags and tokens of an event; what is wrong with them, or between fields."""
    timestamp = instant_of(sent.timestamp, received_at, errors)
    cost = cost_of(sent.cost_usd, errors)
    tags = tags_of(sent.tags or {}, errors)
    tokens = tokens_of(sent, errors)
    _check_entity(sent, errors)
    return timestamp, cost, tags, tokens


def _service_tier(sent: EventIn) -> int:
    if sent.service_tier is None:
        return tier_in(sent.usage) if sent.usage else ServiceTier.STANDARD.value
    return SERVICE_TIERS[sent.service_tier]


def _completed(good: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """The good fields, and for the others what lets no rule between fields complain of them."""
    unsaid: dict[str, Any] = {"model": "", "provider": ""}
    wholes = {"input_tokens", "output_tokens"}
    if bad := (item.keys() - good.keys()) & {*wholes, "usage"}:
        unsaid |= dict.fromkeys(wholes if "usage" in bad else bad, 10**14)
        good = good | {"total_tokens": None, "usage_convention": None, "usage": None}
    unsaid |= {name: "?" for name in ("entity_type", "entity_id") if item.get(name) is not None}
    return unsaid | good


def content_digest(event: NewEvent, sent_timestamp: datetime | None) -> bytes:
    """16 bytes that are equal for equal content.

    Of what the client said alone: an absent timestamp stays absent, 1.0 equals 1.00, equal
    instants are equal, defaults are filled in, and a computed cost is no part of it. It is kept for
    ever: a field that is added later may join only where it is sent with another value than its
    default, or every event that is sent again after an upgrade becomes a conflict.
    """
    said = (
        sent_timestamp and sent_timestamp.astimezone(UTC),
        event.provider,
        event.model,
        event.entity,
        event.session_id,
        sorted(event.tags.items()),
        event.input_tokens,
        event.output_tokens,
        event.cache_read_tokens,
        event.cache_write_tokens,
        event.reasoning_tokens,
        None if event.reported_cost is None else money.plain(event.reported_cost),
        event.latency_ms,
        event.success,
        event.error_type,
        event.error_code,
        *_said_later(event),
    )
    return blake2b(msgspec.msgpack.encode(said), digest_size=16).digest()


def _said_later(event: NewEvent) -> list[tuple[str, Any]]:
    """The content of fields that were added later, where it is not their default."""
    if not (event.cache_write_1h_tokens or event.media_tokens or event.service_tier):
        return []
    added = {
        "cache_write_1h_tokens": event.cache_write_1h_tokens,
        "media_tokens": sorted(event.media_tokens.items()),
        "service_tier": event.service_tier,
    }
    return [(name, value) for name, value in added.items() if value]


def decode_loosely(raw: bytes) -> Any:
    """JSON as plain objects, exact, and tolerant of what a single field must answer for.

    Python's decoder lets lone surrogates through, so that the fault can be told by its field
    instead of costing the whole body. Raises ValueError for what is not JSON.
    """
    try:
        return _loads(raw)
    except RecursionError:
        return _loads(cut(raw))


def _loads(raw: bytes) -> Any:
    return json.loads(
        raw.decode(), parse_float=exact, parse_int=_integer, parse_constant=_refuse_constant
    )


def _integer(digits: str) -> int | Decimal:
    # Python refuses to read integers of more than 4,300 digits; as a Decimal the field refuses it.
    return int(digits) if len(digits) < 100 else exact(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def whole(value: Any) -> Any:
    """1.0 as 1: to JSON they are one integer."""
    is_short = isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 20
    return int(value) if is_short and value == int(value) else value


def good_fields(
    fields: Fields, item: dict[str, Any], strict: bool, errors: list[FieldError]
) -> dict[str, Any]:
    """The fields that are what they should be, converted."""
    errors += [
        FieldError.at(name, code="unknown_field", detail=f"Unknown field `{name}`.")
        for name in item
        if name not in fields
    ]
    good = {}
    for name, field in fields.items():
        if name not in item:
            if field.required:
                errors.append(FieldError.at(name, code="required", detail=f"`{name}` is required."))
        elif fault := _text_fault(item[name]):
            errors.append(FieldError.at(name, code="invalid_text", detail=f"`{name}` {fault}."))
        else:
            try:
                good[name] = msgspec.convert(item[name], field.type, strict=strict)
            except msgspec.ValidationError as error:
                fault = INSTANT_FAULT if "regex" in str(error) else str(error)
                errors.append(FieldError.at(name, code="invalid", detail=f"`{name}`: {fault}."))
    return good


def _text_fault(value: Any) -> str | None:
    """What PostgreSQL's text cannot hold, anywhere in `value`."""
    if isinstance(value, str):
        if "\0" in value:
            return "contains a NUL character"
        if re.search("[\ud800-\udfff]", value):
            return "contains a lone surrogate"
    elif isinstance(value, dict):
        return next(filter(None, (_text_fault(v) for pair in value.items() for v in pair)), None)
    return None


def _check_entity(sent: EventIn, errors: list[FieldError]) -> None:
    if (sent.entity_type is None) != (sent.entity_id is None):
        missing = "entity_type" if sent.entity_type is None else "entity_id"
        detail = "`entity_type` and `entity_id` go together: send both or neither."
        errors.append(FieldError.at(missing, code="required", detail=detail))
