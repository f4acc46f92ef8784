"""Rules for the values of single fields, beyond their types. Faults are collected, not raised."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from events import money

EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(hours=24)
MAX_TAG_VALUE = 500
RFC_3339 = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)"
"""`fromisoformat` alone accepts far more: week dates, no offset, no dashes."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of one field; `pointer` is a JSON pointer into the event."""

    pointer: str
    code: str
    detail: str

    @classmethod
    def at(cls, *path: str, code: str, detail: str) -> "FieldError":
        """The fault of the field at `path`."""
        escaped = (part.replace("~", "~0").replace("/", "~1") for part in path)
        return cls(readable("".join(f"/{part}" for part in escaped)), code, readable(detail))

    def under(self, *path: str) -> dict[str, str]:
        """As JSON, with the pointer moved below `path`."""
        pointer = "".join(f"/{part}" for part in path) + self.pointer
        return {"pointer": pointer, "code": self.code, "detail": self.detail}


def readable(text: str) -> str:
    """`text` as it can be answered: a lone surrogate in it has no bytes."""
    return text.encode(errors="replace").decode()


def exact(digits: str) -> Decimal:
    """A number as it is written. An exponent that no Decimal can have makes it infinite."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("Infinity")


def instant_of(
    text: str | None, received_at: datetime, errors: list[FieldError]
) -> datetime | None:
    """`timestamp` in UTC, cut to microseconds; from 2015 to 24 hours after `received_at`."""
    if text is None:
        return None
    try:
        # Python cuts beyond microseconds; rounding could move an event into the next bucket.
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        detail = "`timestamp` is not an RFC 3339 time."
        errors.append(FieldError.at("timestamp", code="invalid", detail=detail))
        return None
    if instant < EARLIEST or instant > received_at + MAX_AHEAD:
        detail = "`timestamp` must lie between 2015-01-01 and 24 hours from now."
        errors.append(FieldError.at("timestamp", code="out_of_range", detail=detail))
    return instant


def cost_of(sent: Any, errors: list[FieldError]) -> Decimal | None:
    """`cost_usd` exactly: a number is rounded half-even to 10 places, a string may not need it."""
    if sent is None:
        return None
    fault = None
    amount = decimal_of(sent)
    if amount is None:
        fault = "must be a decimal number, as a JSON number or a string"
    elif not 0 <= amount < money.LIMIT:
        fault = "must be at least 0 and less than 1000000000"
    elif (rounded := money.round_reported(amount)) >= money.LIMIT:
        fault = "must be less than 1000000000"
    elif isinstance(sent, str) and rounded != amount:
        fault = "has more than 10 decimal places"
    if fault:
        errors.append(FieldError.at("cost_usd", code="invalid", detail=f"`cost_usd` {fault}."))
        return None
    return abs(rounded)  # -0.0 is a float's way to say 0


def decimal_of(sent: Any) -> Decimal | None:
    """A number, or one in a string, exactly; None if it is none."""
    if isinstance(sent, str):
        if not re.fullmatch(r"\d{1,40}(\.\d{1,100})?([eE][+-]?\d{1,3})?", sent, re.ASCII):
            return None
    elif isinstance(sent, bool) or not isinstance(sent, int | float | Decimal):
        return None
    try:
        amount = Decimal(sent if not isinstance(sent, float) else repr(sent))
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() else None


def tags_of(sent: dict[str, Any], errors: list[FieldError]) -> dict[str, str]:
    """`tags` with every value as text."""
    return {key: _tag(key, value, errors) for key, value in sent.items()}


def _tag(key: str, value: Any, errors: list[FieldError]) -> str:
    """Every value is stored as the text that JSON would show: true → "true", 3 → "3"."""
    fault = None
    text = _tag_text(value)
    if text is None:
        fault = "must be a string, a number or a boolean"
    elif len(text) > MAX_TAG_VALUE:
        fault = f"is longer than {MAX_TAG_VALUE} characters"
    if fault:
        errors.append(FieldError.at("tags", key, code="invalid", detail=f"Tag `{key}` {fault}."))
    return text or ""


def _tag_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        # 1e2 is "100"; a number with more digits than a tag may have is not written out first.
        short = value.is_finite() and abs(value.adjusted()) <= MAX_TAG_VALUE
        return f"{value:f}" if short else "9" * (MAX_TAG_VALUE + 1)
    return str(value) if isinstance(value, str | int | float) else None
