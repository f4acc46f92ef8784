"""The detector measured on series of which it is known what is abnormal, beside two plain rules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median, pstdev

from analytics.anomalies.baseline import HISTORY, WEEK
from analytics.anomalies.detector import Norms, Series, judge
from analytics.anomalies.running import HOURS_HISTORY, judge_hours
from analytics.anomalies.simulate import DAYS, HOURS, Entity, Family, entities

NORMS = Norms(usual=None)
MINIMUM = float(NORMS.minimum)
BIG = 2.0
"""Spikes from here on must be found."""
FIVEFOLD = (4.0, 6.5)
"""What counts as a 5x spike where the delay is measured."""
HALF_HOUR = 0.5

Rule = Callable[[Entity, int, float], bool]
"""Whether a day is abnormal, so many hours after its midnight."""


@dataclass
class Score:
    """How a rule did. Days are days of one entity; delays are hours from onset to alarm."""

    found: int = 0
    missed: int = 0
    found_big: int = 0
    missed_big: int = 0
    false: int = 0
    clean: int = 0
    delays: list[float] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.found / ((self.found + self.false) or 1)

    @property
    def recall(self) -> float:
        return self.found / ((self.found + self.missed) or 1)

    @property
    def recall_big(self) -> float:
        return self.found_big / ((self.found_big + self.missed_big) or 1)

    @property
    def f1(self) -> float:
        return 2 * self.found / ((2 * self.found + self.missed + self.false) or 1)

    @property
    def false_per_thousand(self) -> float:
        return 1000 * self.false / (self.clean or 1)

    @property
    def delay(self) -> float | None:
        return median(self.delays) if self.delays else None

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.found + other.found,
            self.missed + other.missed,
            self.found_big + other.found_big,
            self.missed_big + other.missed_big,
            self.false + other.false,
            self.clean + other.clean,
            self.delays + other.delays,
        )


def ours(entity: Entity, day: int, until: float) -> bool:
    """The product's detector: the whole day as far as it has come, then its hours."""
    series, today = _series(entity, day, until), _so_far(entity, day, until)
    if judge(series, day, NORMS, is_over=until == HOURS).findings:
        return True
    if until == HOURS:
        return False
    past = range(max(0, day - HOURS_HISTORY), day)
    hours = {past_day: entity.hours[past_day] for past_day in past} | {day: today}
    usual = median(series.cost[-1 - WEEK : -1])
    return judge_hours(hours, day, until, usual, NORMS) is not None


def over_average(entity: Entity, day: int, until: float) -> bool:
    """A plain rule: twice the average of 7 days."""
    average = sum(entity.cost[day - WEEK : day]) / WEEK
    cost = sum(_so_far(entity, day, until))
    return cost > 2 * average and cost - average >= MINIMUM


def three_sigma(entity: Entity, day: int, until: float) -> bool:
    """A plain rule: outside of the mean of 28 days ± 3 sigma."""
    costs = entity.cost[day - 28 : day]
    mean = sum(costs) / len(costs)
    cost = sum(_so_far(entity, day, until))
    difference = abs(cost - mean) if until == HOURS else cost - mean
    return difference > 3 * pstdev(costs) and difference >= MINIMUM


RULES: dict[str, Rule] = {
    "costprism": ours,
    "7-day average x 2": over_average,
    "28-day mean ± 3sigma": three_sigma,
}


def run(families: tuple[Family, ...], count: int, seed: int) -> Iterator[tuple[str, str, Score]]:
    """Family, rule and score, family by family."""
    for family in families:
        made = list(entities(family, count, seed))
        for name, rule in RULES.items():
            yield family.name, name, sum((_scored(rule, entity) for entity in made), Score())


def _scored(rule: Rule, entity: Entity) -> Score:
    """All days with a history; a day counts as alarmed if it was at any hour."""
    score = Score()
    for day in range(HISTORY, DAYS):
        spike = entity.spikes.get(day)
        alarm = next((until for until in _moments(spike is None) if rule(entity, day, until)), None)
        if spike is None:
            score.clean += 1
            score.false += alarm is not None
        elif alarm is None:
            score.missed += 1
            score.missed_big += spike.times >= BIG
        else:
            score.found += 1
            score.found_big += spike.times >= BIG
            if FIVEFOLD[0] <= spike.times <= FIVEFOLD[1]:
                score.delays.append(alarm - spike.onset)
    return score


def _moments(is_clean: bool) -> Iterator[float]:
    """When a day is looked at: every half hour, on a clean day every hour, and when it is over."""
    step = 2 if is_clean else 1
    for number in range(step, 2 * HOURS, step):
        yield number * HALF_HOUR
    yield HOURS


def _so_far(entity: Entity, day: int, until: float) -> list[float]:
    hours = enumerate(entity.hours[day])
    return [value * max(0.0, min(1.0, until - hour)) for hour, value in hours]


def _series(entity: Entity, day: int, until: float) -> Series:
    """The days before as they were, and the day so far."""
    days = range(max(0, day - HISTORY), day + 1)
    cost = entity.cost[days.start : days.stop]
    part = sum(_so_far(entity, day, until)) / cost[-1]
    calls = entity.calls[days.start : days.stop]
    failed = entity.failed[days.start : days.stop]
    latency = [entity.latency[past] * entity.calls[past] for past in days]
    for values in (cost, calls, failed, latency):
        values[-1] *= part
    return Series(list(days), cost, calls, failed, latency, calls)
