"""The day that is not over, judged by the same hours of the days before: pure functions.

A day so far is compared with the past days up to the same time, so that a nightly job is no spike
at two in the morning; the last two hours with the same two hours, so that a spike in the
afternoon is not hidden by a quiet morning.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor

from analytics.anomalies.baseline import WEEK
from analytics.anomalies.detector import Finding, Norms, Number, Rise, rise
from analytics.models import AnomalyType

HOURS_HISTORY = 42
"""Days whose hours are looked at."""

SIGMAS = 5.5
"""More than for a whole day: a day that runs is looked at many times."""

Hours = Mapping[int, Sequence[Number]]
"""Number of a day → its cost in each of its 24 hours, USD."""
Look = tuple[int, float, float]
"""From which hour on; how many times the usual there; and what part of a usual day beyond it."""


def judge_hours(
    hours: Hours, today: int, until: float, usual: Number, norms: Norms
) -> Finding | None:
    """A cost spike in the day so far, or in its last hours, `until` hours after midnight.

    `usual` is the cost of a usual day.
    """
    for since, ratio, share in _looks(until):
        risen, actual = _judge_span(hours, today, since, until, ratio)
        if risen is None:
            continue
        stake = actual - risen.expected
        if not risen.is_news or stake < max(float(norms.minimum), share * float(usual)):
            return None
        expected = risen.expected
        return Finding(AnomalyType.COST_SPIKE, expected, actual, stake, risen.basis, since=since)
    return None


def _looks(until: float) -> Iterator[Look]:
    yield 0, 1.5, 0.15
    if until >= 3:
        yield floor(until) - 2, 3.0, 0.2


def _judge_span(
    hours: Hours, today: int, since: int, until: float, ratio: float
) -> tuple[Rise | None, Number]:
    if today not in hours:
        return None, 0
    past = [(day, spent(hours[day], since, until)) for day in sorted(hours) if day < today]
    actual = spent(hours[today], since, ceil(until))  # what is there, it was spent until now
    points = [(day, value) for day, value in past if value > 0]
    return (rise(points, today, actual, ratio, SIGMAS) if actual > 0 else None), actual


def spent(hours: Sequence[Number], since: int, until: float) -> Number:
    """The cost of a day from the hour `since` to `until`; of an hour that is cut, its part."""
    whole = floor(until)
    cut = hours[whole] * type(hours[0])(until - whole) if until > whole else 0
    return sum(hours[since:whole]) + cut


def share_until(hours: Hours, today: int, until: float) -> float:
    """The part of a day's cost that is spent by then, over the last week; of nothing, all."""
    days = [values for day, values in hours.items() if today - WEEK <= day < today]
    whole = sum(float(sum(values)) for values in days)
    return sum(float(spent(values, 0, until)) for values in days) / whole if whole else 1.0
