"""An account on a day: what is abnormal there, read through the Query."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

from analytics.anomalies import reading
from analytics.anomalies.baseline import WEEK, median
from analytics.anomalies.detector import (
    Finding,
    Norms,
    Number,
    Series,
    Verdict,
    day_number,
    judge,
    judge_new,
)
from analytics.anomalies.running import HOURS_HISTORY, judge_hours, share_until
from analytics.models import AnomalyType
from analytics.query import Filters, Query

EVERYTHING = Filters()
ACCOUNT_HISTORY = 14
"""Days of history, before which everything in an account is new and nothing is called so."""
WORTH_A_LOOK = 0.2
"""The part of a usual day that is spent ahead of time, for an entity's hours to be read; or that of
what would usually be spent by now, twice over, if that is less. Lower, an ordinary day of 40,000
entities has 4,000 worth a look, and the pass takes 80 s instead of 20."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A finding, exact, and whose it is."""

    entity: int | None
    """A row id; None is the whole account."""
    finding: Finding
    filters: Filters = EVERYTHING
    """What part of theirs it is about."""


@dataclass(frozen=True)
class Scene:
    """An account on a UTC day. Ask it inside one snapshot."""

    account_id: int
    day: date
    minimum: Decimal
    """Money at stake, below which nothing is an anomaly; USD."""
    now: datetime | None = None
    """The moment (UTC), on a day that is not over."""

    @property
    def today(self) -> int:
        return day_number(self.day)

    @property
    def query(self) -> Query:
        """The day and those that it is judged by."""
        return Query(account_id=self.account_id, period=reading.until(self.day))

    @property
    def elapsed(self) -> float:
        """Hours of the day that have passed."""
        return self.now.hour + self.now.minute / 60 if self.now else 24.0

    @cached_property
    def series(self) -> Series:
        """The whole account."""
        return reading.exact_series(self.query)

    @cached_property
    def norms(self) -> Norms:
        """What it alarms for, by its usual spending."""
        usual = _usual(self.series, self.today)
        is_young = not self.series.days or self.series.days[0] > self.today - ACCOUNT_HISTORY
        return Norms(self.minimum, None if is_young else usual)

    def entities(self) -> Iterator[tuple[int, Verdict]]:
        """Each of which something is abnormal; on a running day, of those above the minimum."""
        for entity in list(self._suspects()):
            verdict = self._judge_exactly(replace(self.query, entities=(entity,)))
            if verdict.standing:
                yield entity, verdict

    @cached_property
    def whole_verdict(self) -> Verdict:
        """The account itself."""
        return self._judge_exactly(self.query)

    def new_model(self) -> Suspect | None:
        """The dearest model without a history, if because of it the account spends more."""
        excess = self._cost_today() - (_usual(self.series, self.today) or 0)
        found = [
            Suspect(None, finding, filters)
            for filters, series in reading.series_of_models(self.query)
            for finding in self._judge_new(filters, series).findings
            if excess * 2 >= finding.stake
        ]
        return max(found, key=lambda suspect: suspect.finding.stake, default=None)

    def _suspects(self) -> Iterator[int]:
        query = replace(self.query, attributed=True)
        if self.now:
            query = replace(query, entities=reading.dear_entities(self._today(), self.minimum))
        for entity, series in reading.series_of_entities(query):
            verdict = judge(series, self.today, self.norms, is_over=not self.now)
            if verdict.standing or (self.now and self._is_ahead(series)):
                yield entity

    def _is_ahead(self, series: Series) -> bool:
        """Whether it has spent clearly more than its usual day by the account's hours until now."""
        usual = _usual(series, self.today)
        if not usual:
            return False
        ahead = series.cost[-1] - usual * self._share
        much = usual * WORTH_A_LOOK * min(1, 2 * self._share)
        return bool(ahead >= max(self.minimum, much))

    @cached_property
    def _share(self) -> float:
        """The part of a usual day that the account spends until now."""
        query = replace(self.query, period=reading.until(self.day, HOURS_HISTORY))
        return share_until(reading.hours(query), self.today, self.elapsed)

    def _judge_exactly(self, query: Query) -> Verdict:
        is_whole = query.entities is None
        series = self.series if is_whole else reading.exact_series(query)
        norms = replace(self.norms, usual=None) if is_whole else self.norms  # it is never new
        verdict = judge(series, self.today, norms, is_over=not self.now)
        usual = _usual(series, self.today)
        if not self.now or not usual or AnomalyType.COST_SPIKE in verdict.standing:
            return verdict
        hours = reading.hours(replace(query, period=reading.until(self.day, HOURS_HISTORY)))
        finding = judge_hours(hours, self.today, self.elapsed, usual, self.norms)
        return verdict.with_cost_spike(finding) if finding else verdict

    def _judge_new(self, filters: Filters, series: Series) -> Verdict:
        what = f"a new model, {filters.provider}/{filters.model}"
        return judge_new(series, self.today, self.norms, what)

    def _today(self) -> Query:
        return replace(self.query, period=reading.until(self.day, 0))

    def _cost_today(self) -> Decimal:
        is_there = bool(self.series.days) and self.series.days[-1] == self.today
        return Decimal(self.series.cost[-1]) if is_there else Decimal(0)


def _usual(series: Series, today: int) -> Number | None:
    """The usual cost of one of the last seven days before `today`; None where there are none."""
    costs = [cost for day, cost in zip(series.days, series.cost, strict=True) if day < today]
    return median(costs[-WEEK:]) if costs else None
