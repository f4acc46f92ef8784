"""Query parameters: days, zones, names, tags, pages."""

import re
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from rest_framework import serializers

from apikeys.params import Address
from events.rules import RFC_3339

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

    default_error_messages = {"nul": "Null characters are not allowed."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if "\0" in str(data):  # before a subclass makes something else of the text
            self.fail("nul")
        return super().to_internal_value(data)


class CountField(serializers.IntegerField):
    """A whole number in ASCII digits; Python reads much more as one."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch(r"-?\d{1,20}", str(data), re.ASCII):
            self.fail("invalid")
        return super().to_internal_value(data)


class TagsField(NameField):
    """`key:value,key:value` (AND); split at the first `:`; `\\,` is a comma, `\\\\` a backslash."""

    default_error_messages = {
        "malformed": "Write tags as key:value,key:value; escape a comma as \\, and \\ as \\\\."
    }

    def to_internal_value(self, data: Any) -> list[tuple[str, str]]:  # type: ignore[override]
        pairs = comma_separated(super().to_internal_value(data))
        if pairs is None:
            self.fail("malformed")
        return [self._split(pair) for pair in pairs]

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
        if not re.fullmatch(RFC_3339, data, re.ASCII):
            self.fail("format")
        try:
            # PostgreSQL knows no offset beyond 15:59; UTC is understood everywhere.
            instant = datetime.fromisoformat(data.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("format")
        if instant.year not in YEARS:
            self.fail("format")
        return instant

    def to_representation(self, value: date | datetime) -> str:
        return value.isoformat()


class InstantField(MomentField):
    """An instant, RFC 3339 with its offset, or a day: its beginning in UTC."""

    def to_internal_value(self, data: str) -> datetime:
        moment = super().to_internal_value(data)
        if isinstance(moment, datetime):
            return moment
        return datetime.combine(moment, time(), UTC)


class Params(Address):
    """The parameters that every table takes."""

    format = serializers.ChoiceField(choices=["json", "csv"], default="json")


class PageParams(Params):
    """A page of a list; a CSV has all rows unless `limit` is given."""

    limit = CountField(required=False, min_value=1, max_value=1000)
    offset = CountField(default=0, min_value=0, max_value=MAX_OFFSET)


@cache
def _zone_names() -> frozenset[str]:
    # "localtime" is the machine's own, and "Factory" says that none was set.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def comma_separated(text: str) -> list[str] | None:
    """The parts between commas; `\\,` is a comma, `\\\\` a backslash. None if malformed."""
    if not re.fullmatch(r"(?:[^\\]|\\[\\,])*", text, re.DOTALL):
        return None
    # A part is a run of escapes and of anything but a bare comma or backslash.
    parts = re.findall(r"(?:^|,)((?:[^\\,]|\\[\\,])*)", text, re.DOTALL)
    return [re.sub(r"\\(.)", r"\1", part) for part in parts]
