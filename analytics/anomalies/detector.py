"""Which of a day's values are abnormal: pure functions over the days before it.

The same functions judge floats, fast, to find suspects, and Decimals, to say exactly what was
found. A day is judged by what was before it, never by what came after.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import exp, log, sqrt
from typing import Any, NamedTuple

from analytics.anomalies.baseline import (
    MIN_HISTORY,
    RHYTHM_HISTORY,
    WEEK,
    Baseline,
    Points,
    baseline,
    median,
    spread_of,
)
from analytics.models import AnomalyType

SIGMAS = 3.8
"""So many standard deviations above usual is abnormal: 1 of 14,000 days of normal noise."""
STANDS_OUT = log(1.1)
"""And so far above the third worst day of the history, for noise that is not normal."""
MIN_CALLS = 20
"""Calls, of fewer of which no number, average or share is judged."""
ERROR_SIGMAS = 5
ERROR_POINTS = 0.05
DROPPED_TO = 0.1
DROP_HISTORY = 14
NEW_FACTOR = 10
"""Something new must cost so many minimums in a day."""
NEW_SHARE = Decimal("0.2")
"""And such a part of what the account usually spends in one."""

Number = Any
"""A float or a Decimal; one series holds one kind."""


class Series(NamedTuple):
    """The measures of an entity, or of the account, on the days that have events, oldest first.

    All of them floats or all Decimals. Days are numbers (`day_number`).
    """

    days: Sequence[int]
    cost: Sequence[Number]
    events: Sequence[Number]
    failed: Sequence[Number]
    latency_sum: Sequence[Number]
    latency_count: Sequence[Number]


@dataclass(frozen=True, slots=True)
class Norms:
    """What an account alarms for. USD."""

    minimum: Decimal = Decimal(5)
    """Money at stake, below which nothing is an anomaly."""
    usual: Number | None = None
    """The account's usual cost of a day; None while it is too young to call anything new."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One abnormal value. `expected` and `actual` are in the unit of its type."""

    type: AnomalyType
    expected: Number
    actual: Number
    stake: Number
    """USD."""
    basis: str
    """What `expected` is, for people; or what is new."""
    is_new: bool = False
    """There is nothing to compare with."""
    since: int | None = None
    """On a day that is not over: it is about the hours from this one on."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The news of a day, and every type that is abnormal on it, also the old."""

    findings: tuple[Finding, ...] = ()
    standing: frozenset[AnomalyType] = frozenset()

    def with_cost_spike(self, finding: Finding) -> "Verdict":
        """The same with the cost risen, which silences what only says why."""
        kept = tuple(found for found in self.findings if found.type not in PARTS_OF_COST)
        return Verdict((*kept, finding), self.standing - PARTS_OF_COST | {finding.type})


@dataclass(frozen=True, slots=True)
class Metric:
    """A value of a day that may rise. `of` gives None for a day that does not tell."""

    type: AnomalyType
    ratio: float
    """How many times the usual at least."""
    of: Callable[[Series, int], Number | None]
    stake: Callable[[Series, int, Number, Number], Number]
    """USD, of the day's expected and actual value."""


def _cost(series: Series, at: int) -> Number | None:
    return series.cost[at] if series.cost[at] > 0 else None


def _events(series: Series, at: int) -> Number | None:
    return series.events[at] if series.events[at] >= MIN_CALLS else None


def _cost_per_event(series: Series, at: int) -> Number | None:
    enough = series.events[at] >= MIN_CALLS and series.cost[at] > 0
    return series.cost[at] / series.events[at] if enough else None


def _latency(series: Series, at: int) -> Number | None:
    enough = series.latency_count[at] >= MIN_CALLS and series.latency_sum[at] > 0
    return series.latency_sum[at] / series.latency_count[at] if enough else None


def _extra_calls(series: Series, at: int, expected: Number, actual: Number) -> Number:
    return (actual - expected) * series.cost[at] / series.events[at]


COST = Metric(AnomalyType.COST_SPIKE, 1.4, _cost, lambda s, at, expected, actual: actual - expected)
METRICS = (
    COST,
    Metric(
        AnomalyType.COST_PER_EVENT_SPIKE,
        1.5,
        _cost_per_event,
        lambda series, at, expected, actual: (actual - expected) * series.events[at],
    ),
    Metric(AnomalyType.USAGE_SPIKE, 2.5, _events, _extra_calls),
    Metric(
        AnomalyType.LATENCY_SPIKE,
        1.5,
        _latency,
        lambda series, at, expected, actual: series.cost[at],
    ),
)
PARTS_OF_COST = {AnomalyType.COST_PER_EVENT_SPIKE, AnomalyType.USAGE_SPIKE}
"""Not told where the cost itself has risen: they are why, and one cause is one alarm."""


def judge(series: Series, today: int, norms: Norms, *, is_over: bool = True) -> Verdict:
    """What is abnormal on the day `today`, which may be missing from the series: then it is 0.

    A day that is not over (`is_over`) may have risen, but not dropped.
    """
    verdicts = [_rise(metric, series, today, norms) for metric in METRICS]
    verdicts += [_errors(series, today, norms), judge_new(series, today, norms, "a new entity")]
    if is_over:
        verdicts.append(_drop(series, today, norms))
    standing = frozenset(found for verdict in verdicts for found in verdict.standing)
    silent = PARTS_OF_COST if AnomalyType.COST_SPIKE in standing else set()
    return Verdict(
        tuple(f for verdict in verdicts for f in verdict.findings if f.type not in silent),
        standing - silent,
    )


def _rise(metric: Metric, series: Series, today: int, norms: Norms) -> Verdict:
    if not series.days or series.days[-1] != today:
        return Verdict()
    actual = metric.of(series, len(series.days) - 1)
    if actual is None or series.cost[-1] < norms.minimum:
        return Verdict()
    points = [
        (day, value)
        for at, day in enumerate(series.days[:-1])
        if (value := metric.of(series, at)) is not None
    ]
    risen = rise(points, today, actual, metric.ratio)
    if risen is None:
        return Verdict()
    stake = metric.stake(series, len(series.days) - 1, risen.expected, actual)
    if stake < norms.minimum:
        return Verdict()
    finding = Finding(metric.type, risen.expected, actual, stake, risen.basis)
    return Verdict((finding,) if risen.is_news else (), frozenset({metric.type}))


class Rise(NamedTuple):
    """A value that is abnormally high."""

    expected: Number
    basis: str
    is_news: bool
    """Not just the second day of the same."""


def rise(
    points: Points, today: int, actual: Number, ratio: float, sigmas: float = SIGMAS
) -> Rise | None:
    """Whether `actual` is abnormally high after `points`, and `ratio` times the usual."""
    if len(points) < MIN_HISTORY or not _may_have_risen(points, today, actual, ratio):
        return None
    usual = baseline(points, today)
    assert usual is not None
    bar = max(log(ratio), sigmas * usual.spread)
    surprise = log(actual) - usual.usual
    if surprise <= max(bar, usual.ceiling + STANDS_OUT):
        return None
    expected, basis = expectation(points, today, usual)
    if actual < expected * type(actual)(ratio):
        return None
    is_old = usual.last > bar / 2 and surprise < usual.last + bar
    return Rise(expected, basis, not is_old)


def _may_have_risen(points: Points, today: int, actual: Number, ratio: float) -> bool:
    """A cheap look that spares most days the whole one: above last week, or above its weekday.

    Where a rhythm cannot be known yet, above the same weekday of last week too.
    """
    week = [value for _, value in points[-WEEK:]]
    alike = [value for day, value in points if (today - day) % WEEK == 0]
    least = actual / type(actual)(ratio)
    if len(points) < RHYTHM_HISTORY and alike and alike[-1] > least:
        return False
    return median(week) < least or bool(alike and median(alike) < least)


def expectation(points: Points, today: int, usual: Baseline) -> tuple[Number, str]:
    """The value that was to be expected, and what it is in words that are literally true."""
    values = [value for _, value in points[-WEEK:]]
    if usual.has_rhythm:
        return type(values[0])(exp(usual.usual)), f"a usual {WEEKDAYS[today % WEEK]}"
    mean, middle = sum(values) / len(values), median(values)
    is_fair = abs(mean - middle) * 10 <= middle
    days = "7-day" if points[-WEEK][0] == today - WEEK else "7-active-day"
    return (mean, f"{days} average") if is_fair else (middle, f"{days} median")


def day_number(day: date) -> int:
    """Days with the same remainder by 7 are the same weekday, 0 a Monday."""
    return day.toordinal() - 1


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _errors(series: Series, today: int, norms: Norms) -> Verdict:
    """A failure rate far beyond the usual one, by binomial noise and that of the days."""
    at = [n for n, events in enumerate(series.events) if events >= MIN_CALLS]
    if len(at) <= MIN_HISTORY or series.days[at[-1]] != today:
        return Verdict()
    rates = [series.failed[n] / series.events[n] for n in at]
    *before, rate = rates
    calls, failed = series.events[at[-1]], series.failed[at[-1]]
    bar = _error_bar([float(value) for value in before], float(calls))
    week = at[-1 - WEEK : -1]
    expected = median(before[-WEEK:])
    cost, events = sum(series.cost[n] for n in week), sum(series.events[n] for n in week)
    stake = (rate - expected) * calls * cost / events
    if float(rate) <= bar or failed < MIN_CALLS / 2 or stake < norms.minimum:
        return Verdict()
    finding = Finding(AnomalyType.ERROR_SPIKE, expected, rate, stake, "7-day median")
    is_old = float(before[-1]) > bar and rate * 2 < before[-1] * 3
    return Verdict(() if is_old else (finding,), frozenset({AnomalyType.ERROR_SPIKE}))


def _error_bar(before: list[float], calls: float) -> float:
    usual = median(before)
    floor = max(usual, 1 / calls)
    noise = sqrt(floor * (1 - floor) / calls + spread_of(before, usual) ** 2)
    worst = sorted(before, reverse=True)[2]
    return max(usual + ERROR_POINTS, usual * 2, usual + ERROR_SIGMAS * noise, worst * 1.1)


def judge_new(series: Series, today: int, norms: Norms, what: str) -> Verdict:
    """An entity or a model without a history that spends at once what others worked up to."""
    if norms.usual is None or not series.days or series.days[-1] != today:
        return Verdict()
    *before, actual = series.cost
    least = max(norms.minimum * NEW_FACTOR, Decimal(norms.usual) * NEW_SHARE)
    if len([cost for cost in before if cost > 0]) >= MIN_HISTORY or actual < least:
        return Verdict()
    finding = Finding(AnomalyType.COST_SPIKE, actual * 0, actual, actual, what, is_new=True)
    is_old = any(cost >= least for cost in before)
    return Verdict(() if is_old else (finding,), frozenset({AnomalyType.COST_SPIKE}))


def _drop(series: Series, today: int, norms: Norms) -> Verdict:
    """Hardly any cost on a day that is used to some, also if it were the quietest weekday.

    A holiday is like a Sunday, and no drop.
    """
    costs = dict(zip(series.days, series.cost, strict=True))
    actual = costs.pop(today, 0)
    points = [(day, cost) for day, cost in costs.items() if cost > 0]
    if len(points) < DROP_HISTORY or not _had_this_weekday(costs, today):
        return Verdict()
    if float(actual) > DROPPED_TO * float(median([cost for _, cost in points[-WEEK:]])):
        return Verdict()
    usual = baseline(points, today)
    assert usual is not None
    expected, basis = expectation(points, today, usual)
    bar = DROPPED_TO * exp(usual.quietest)
    if float(actual) >= bar or expected - actual < norms.minimum:
        return Verdict()
    finding = Finding(AnomalyType.COST_DROP, expected, actual, expected - actual, basis)
    is_old = float(costs.get(_day_before(costs, today), 0)) < bar
    return Verdict(() if is_old else (finding,), frozenset({AnomalyType.COST_DROP}))


def _day_before(costs: dict[int, Number], today: int) -> int:
    """The last day that should have had a cost: before a Monday it may be Friday."""
    past = range(today - 1, today - 1 - WEEK, -1)
    return next((day for day in past if _had_this_weekday(costs, day)), today - 1)


def _had_this_weekday(costs: dict[int, Number], today: int) -> bool:
    """In three of the last four weeks."""
    past = (today - WEEK * week for week in (1, 2, 3, 4))
    return len([day for day in past if costs.get(day, 0) > 0]) >= 3
