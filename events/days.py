"""Where a calendar day begins in a time zone, as an instant.

Computed in Python and with the tz database that Python uses, never in SQL: two databases of zones
would disagree one day.
"""

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) from which on the local date is `day` or later, for good.

    Where midnight happens twice, it is the first one if the clock goes back within the day
    (Havana), the second one if it goes back to the day before (St. John's until 2011); where it
    never happens, it is the end of the gap.
    """
    midnight = datetime.combine(day, time(), zone)
    first, second = (midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return first
    if first > second:  # a gap: fold=0 reads the clock before it, fold=1 the clock after it
        return transition(second - HOUR, first + HOUR, zone)
    went_back_a_day = (second - timedelta(microseconds=1)).astimezone(zone).date() < day
    return second if went_back_a_day else first


def transition(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first whole second in (before, after] with the offset of `after`."""
    old = offset(before, zone)
    seconds = range(int((after - before).total_seconds()) + 1)
    found = bisect_right(
        seconds, False, key=lambda second: offset(before + timedelta(seconds=second), zone) != old
    )
    return before + timedelta(seconds=found)


def offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    """The zone's UTC offset at `moment`."""
    found = moment.astimezone(zone).utcoffset()
    assert found is not None
    return found
