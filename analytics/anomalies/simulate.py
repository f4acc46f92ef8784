"""Seeded series to measure detectors with: what days look like, and the spikes put into them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp, log
from random import Random

from analytics.anomalies.baseline import HISTORY, WEEK

DAYS = 90
HOURS = 24
SPIKE_EVERY = 14
"""Days between two spikes of an entity, on average."""
SPIKE_APART = 3
"""And at least: the day after a spike must be judged as an ordinary one."""
LEAST, MOST = 1.5, 10.0
"""How many times its ordinary cost a day with a spike has."""
LAST_ONSET = 18
COST_PER_CALL = 0.05
"""USD."""
LATENCY = 1200.0
FAILURES = 0.01
WEEKEND = (1.0, 1.05, 1.0, 1.1, 0.95, 0.35, 0.25)
OFFICE = (
    *(0.3,) * 7,
    *(1.0, 2.0, 2.5, 2.5, 2.0, 2.2, 2.5, 2.5, 2.0, 1.5),
    *(0.8,) * 3,
    *(0.4,) * 4,
)
EVEN = (1.0,) * HOURS

Shape = Callable[[int], float]
"""Number of a day → how many times the base cost it has, before noise."""


@dataclass(frozen=True)
class Course:
    """What a series does before noise and spikes."""

    shape: Shape
    shifts: dict[int, float] = field(default_factory=dict)
    """Days on which the level rises for good, and how many times: each is to be told once."""
    off: frozenset[int] = frozenset()
    """Holidays. No spikes are put there: what is a spike on a day off, nobody can know."""


@dataclass
class Spike:
    """A day's cost is `times` the ordinary one; all of the extra comes after `onset` (an hour)."""

    times: float
    onset: int


@dataclass
class Entity:
    """One simulated entity: its cost by day and hour (USD), its calls, and what is no accident."""

    hours: list[list[float]]
    cost: list[float]
    calls: list[float]
    failed: list[float]
    latency: list[float]
    spikes: dict[int, Spike] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """Series of a kind. `noise` is the standard deviation of a day's logarithm."""

    name: str
    noise: float
    make: Callable[[Random], "Course"]
    profile: tuple[float, ...] = OFFICE


def _steady(random: Random) -> Course:
    return Course(lambda day: 1.0)


def _weekly(random: Random) -> Course:
    return Course(lambda day: WEEKEND[day % WEEK])


def _growth(random: Random) -> Course:
    """Linear: by as much as it began with, every month."""
    monthly = random.uniform(0.3, 1.0)
    return Course(lambda day: 1 + monthly * day / 30)


def _holidays(random: Random) -> Course:
    """Weeks with days off, and one week off."""
    single = {random.randrange(HISTORY, DAYS) for _ in range(4)}
    first = random.randrange(HISTORY, DAYS - 10)
    off = frozenset(single | set(range(first, first + WEEK)))
    depth = random.uniform(0.2, 0.6)

    def shape(day: int) -> float:
        usual = WEEKEND[day % WEEK]
        return min(usual, depth) if day in off else usual

    return Course(shape, off=off)


def _shifts(random: Random) -> Course:
    """Up for good, and later down for good."""
    up = random.randrange(HISTORY + 2, HISTORY + 15)
    down = random.randrange(up + 18, DAYS)
    times = random.uniform(2.0, 3.0)
    return Course(lambda day: times if up <= day < down else 1.0, shifts={up: times})


def _everything(random: Random) -> Course:
    days, growing = _holidays(random), _growth(random)
    return Course(lambda day: days.shape(day) * growing.shape(day), off=days.off)


FAMILIES = (
    Family("steady", 0.08, _steady, EVEN),
    Family("weekly", 0.10, _weekly),
    Family("growth", 0.10, _growth),
    Family("noise", 0.20, _steady),
    Family("holidays", 0.10, _holidays),
    Family("level shifts", 0.10, _shifts),
    Family("everything", 0.12, _everything),
)


def entities(family: Family, count: int, seed: int) -> Iterator[Entity]:
    """So many entities; the same for the same seed."""
    for number in range(count):
        yield _entity(family, Random(f"{seed} {family.name} {number}"))  # noqa: S311


def _entity(family: Family, random: Random) -> Entity:
    course = family.make(random)
    base = exp(random.uniform(log(20), log(400)))
    made = Entity(
        [], [], [], [], [], {day: Spike(times, 0) for day, times in course.shifts.items()}
    )
    for day in range(DAYS):
        cost = base * course.shape(day) * exp(random.gauss(0, family.noise))
        hours = _spread(cost, family.profile, random)
        calls = max(20.0, cost / COST_PER_CALL * exp(random.gauss(0, family.noise / 2)))
        made.hours.append(hours)
        made.calls.append(round(calls))
        made.failed.append(round(calls * FAILURES * exp(random.gauss(0, 0.3))))
        made.latency.append(LATENCY * exp(random.gauss(0, 0.08)))
    _put_spikes(made, course.off, random)
    made.cost = [sum(hours) for hours in made.hours]
    return made


def _spread(cost: float, profile: tuple[float, ...], random: Random) -> list[float]:
    weights = [weight * exp(random.gauss(0, 0.2)) for weight in profile]
    whole = sum(weights)
    return [cost * weight / whole for weight in weights]


def _put_spikes(entity: Entity, off: frozenset[int], random: Random) -> None:
    day = HISTORY + int(random.expovariate(1 / SPIKE_EVERY))
    while day < DAYS:
        if day not in off and all(abs(day - other) > SPIKE_APART for other in entity.spikes):
            spike = Spike(exp(random.uniform(log(LEAST), log(MOST))), random.randint(0, LAST_ONSET))
            _put(entity, day, spike)
        day += SPIKE_APART + int(random.expovariate(1 / (SPIKE_EVERY - SPIKE_APART)))


def _put(entity: Entity, day: int, spike: Spike) -> None:
    """All later hours rise alike, so that the whole day is `times` what it was."""
    hours = entity.hours[day]
    later = sum(hours[spike.onset :])
    factor = 1 + (spike.times - 1) * sum(hours) / later
    entity.hours[day] = hours[: spike.onset] + [value * factor for value in hours[spike.onset :]]
    entity.calls[day] = round(entity.calls[day] * spike.times)
    entity.failed[day] = round(entity.failed[day] * spike.times)
    entity.spikes[day] = spike
