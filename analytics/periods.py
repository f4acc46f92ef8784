"""Calendar time: periods of local days and their buckets, as half-open intervals of instants.

All edges are computed here, in Python and with the tz database that Python uses, never in SQL:
two databases of zones would disagree one day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from events.days import DAY, HOUR, day_start, offset, transition

INTERVALS = ("hour", "day", "week", "month")
SHORT = timedelta(days=93)


@dataclass(frozen=True)
class Period:
    """The instants [since, until); of whole calendar days `start` to `end`, both included."""

    start: date
    end: date
    zone: ZoneInfo
    since: datetime
    until: datetime

    @classmethod
    def of_days(cls, start: date, end: date, zone: ZoneInfo) -> "Period":
        """The calendar days `start` to `end` in `zone`, both included."""
        return cls(start, end, zone, day_start(start, zone), day_start(end + DAY, zone))

    @classmethod
    def between(cls, since: datetime, until: datetime) -> "Period":
        """[since, until), whatever the days."""
        return cls(since.date(), until.date(), ZoneInfo("UTC"), since, until)

    @property
    def before(self) -> "Period":
        """The stretch of the same length that ends where this one begins."""
        return Period.between(self.since - (self.until - self.since), self.since)

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1


@dataclass(frozen=True)
class Bucket:
    """A bucket of a period: named by its true start, holding only what lies in the period."""

    start: datetime
    """Its true first instant (UTC); for a week or month perhaps before the period."""
    local: datetime
    """The same instant on the zone's clock. Not for comparing: an hour may come twice there."""
    day: date
    """The calendar day that names it."""


@dataclass(frozen=True)
class Buckets:
    """Consecutive buckets; `edges[i]` is the first instant of bucket i inside the period."""

    edges: list[datetime]
    buckets: list[Bucket]


def buckets(period: Period, interval: str) -> Buckets:
    """Every bucket of the period in order. `interval` is one of INTERVALS."""
    if interval == "hour":
        return hours(period.since, period.until, period.zone)
    starts = [day_start(day, period.zone) for day in _bucket_days(period, interval)]
    named = zip(starts, _bucket_days(period, interval), strict=True)
    # A day that the zone skipped (Apia, 2011-12-30) has no instants and so no bucket.
    kept = [
        Bucket(start, start.astimezone(period.zone), day)
        for (start, day), following in zip(named, [*starts[1:], period.until], strict=True)
        if start < following
    ]
    return Buckets([max(bucket.start, period.since) for bucket in kept], kept)


def hours(since: datetime, until: datetime, zone: ZoneInfo) -> Buckets:
    """The hours of [since, until): one wall-clock hour within one UTC offset each.

    A change of offset that is no whole hour (Lord Howe: 30 minutes) starts a new one.
    """
    return (_kept_hours if until - since <= SHORT else _all_hours)(since, until, zone)


def _all_hours(since: datetime, until: datetime, zone: ZoneInfo) -> Buckets:
    found = [
        Bucket(edge, local, local.date())
        for start, end in _stretches(since, until, zone)
        for edge, local in _hours(start, end, zone)
    ]
    return Buckets([bucket.start for bucket in found], found)


# The rows ask for them once more: 4 ms a month. Those of ten years would take 25 MB.
_kept_hours = lru_cache(maxsize=8)(_all_hours)


def _hours(since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The first instants of the hours within one offset, in UTC and on the zone's clock."""
    while since < until:
        local = since.astimezone(zone)
        yield since, local
        since += HOUR - timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )


def _bucket_days(period: Period, interval: str) -> Iterator[date]:
    """The first day of each day, week (Monday) or month that meets the period."""
    day = _floor(period.start, interval)
    while day <= period.end:
        yield day
        day = _floor(day + timedelta(days={"day": 1, "week": 7, "month": 31}[interval]), interval)


def _floor(day: date, interval: str) -> date:
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def _stretches(
    since: datetime, until: datetime, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    """[since, until) cut wherever the zone's UTC offset changes.

    Looked at every 6 hours: no zone has changed its offset twice in so short a time.
    """
    start = probe = since
    while probe < until:
        following = min(probe + 6 * HOUR, until)
        if offset(probe, zone) != offset(following, zone):
            change = transition(probe, following, zone)
            if start < change < until:
                yield start, change
                start = change
        probe = following
    if start < until:
        yield start, until
