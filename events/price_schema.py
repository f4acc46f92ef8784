"""What a client may send as a price: its fields, checked with every error found."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any, Literal

import msgspec

from events.price_models import NAME_LENGTH, Price, Source, Unit
from events.rules import FieldError, decimal_of
from events.schema import SERVICE_TIERS, Count, Fields, Instant, Name, good_fields, whole

PLACES = 24
LIMIT = 10**6
"""USD per unit: what costs more is a mistake."""
YEARS = range(2000, 2101)


class PriceIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One price as it is sent: USD per token, or per request."""

    provider: Name
    model: Name
    unit: Literal[tuple(Unit.values)]  # type: ignore[valid-type]
    usd_per_unit: Any
    service_tier: Literal[tuple(SERVICE_TIERS)] = "standard"  # type: ignore[valid-type]
    context_over: Count = 0
    valid_from: Instant | None = None


PRICE_FIELDS: Fields = {field.name: field for field in msgspec.structs.fields(PriceIn)}


def parse_price(item: Any, account_id: int, errors: list[FieldError]) -> Price | None:
    """A price of an account; None, and what is wrong with it, if it is none."""
    if not isinstance(item, dict):
        errors.append(FieldError("", "invalid", "A price must be a JSON object."))
        return None
    faults: list[FieldError] = []
    good = good_fields(PRICE_FIELDS, item | _counts(item), True, faults)
    _check_lowered(good, faults)
    usd = _usd(good["usd_per_unit"], faults) if "usd_per_unit" in good else None
    valid_from = _instant(good.get("valid_from"), faults)
    errors += faults
    if faults or usd is None:
        return None
    sent = PriceIn(**good)
    return Price(
        account_id=account_id,
        provider=sent.provider.lower(),
        model=sent.model.lower(),
        unit=sent.unit,
        service_tier=SERVICE_TIERS[sent.service_tier],
        context_over=sent.context_over,
        usd_per_unit=usd,
        valid_from=valid_from,
        source=Source.API,
    )


def _check_lowered(good: dict[str, Any], errors: list[FieldError]) -> None:
    """Names are kept in lower case, which is longer for a few letters: İ becomes two."""
    for name in ("provider", "model"):
        if len(good.get(name, "").lower()) > NAME_LENGTH:
            detail = f"`{name}` has more than {NAME_LENGTH} characters in lower case."
            errors.append(FieldError.at(name, code="invalid", detail=detail))


def _counts(item: dict[str, Any]) -> dict[str, Any]:
    return {"context_over": whole(item["context_over"])} if "context_over" in item else {}


def _usd(sent: Any, errors: list[FieldError]) -> Decimal | None:
    usd = decimal_of(sent)
    fault = None
    if usd is None:
        fault = "must be a decimal number, as a JSON number or a string"
    elif not 0 <= usd < LIMIT:
        fault = f"must be at least 0 and less than {LIMIT}"
    elif _is_finer(usd):
        fault = f"has more than {PLACES} decimal places"
    if fault:
        detail = f"`usd_per_unit` {fault}."
        errors.append(FieldError.at("usd_per_unit", code="invalid", detail=detail))
    return usd


def _is_finer(usd: Decimal) -> bool:
    """Whether PLACES do not hold it. Python's own context stops at 28 digits, and raises."""
    with localcontext(prec=200):
        return usd != round(usd, PLACES)


def _instant(text: str | None, errors: list[FieldError]) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
        if instant.year in YEARS:
            return instant
    except (ValueError, OverflowError):
        pass
    detail = "`valid_from` must be an RFC 3339 time in the years 2000 to 2100."
    errors.append(FieldError.at("valid_from", code="invalid", detail=detail))
    return None
