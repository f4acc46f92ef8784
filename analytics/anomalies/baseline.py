"""What a value usually is: level, weekday and spread of a series, on a log scale.

Medians and MAD throughout, so that a few bad days in the history move nothing (Hampel 1974; the
factor makes the MAD of normal noise its standard deviation). A day without a value is no day.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt
from typing import NamedTuple

WEEK = 7
HISTORY = 42
"""Days that a day is judged by: six of each weekday."""
MIN_HISTORY = 7
"""Days with a value, fewer of which tell nothing."""
RHYTHM_HISTORY = 21
"""Days with a value, fewer of which tell no weekday from another."""
MONTH = 28
BUSY_DAYS = 4
"""So many days of the history may have been spikes, and another is one still."""
MAD_TO_SIGMA = 1.4826
TRIM, TRIMMED_TO_SIGMA = 2.5, 1.05
"""Normal noise within 2.5 standard deviations has a deviation of 0.95 of its own."""
MIN_SPREAD = 0.05
MIN_YOUNG_SPREAD = 0.15

Points = Sequence[tuple[int, float]]
"""(number of the day, value above 0), oldest first."""


class Baseline(NamedTuple):
    """What a day would usually be, in logs."""

    level: float
    """That of the last weeks, with the trend since."""
    weekday: float
    """What its weekday adds."""
    spread: float
    """Standard deviation of ordinary days."""
    ceiling: float
    """How far above usual, and above the day before, the history was on more days than a few."""
    last: float
    """How far above usual the day before it was."""
    quietest: float
    """What is usual on the quietest weekday."""
    has_rhythm: bool

    @property
    def usual(self) -> float:
        return self.level + self.weekday


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle; of at least one."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def spread_of(values: Sequence[float], center: float) -> float:
    """The robust standard deviation of `values` about `center`.

    That of the values within 2.5 of what the MAD says: alone it uses a third of what they tell, and
    is off by a fifth after 35 days.
    """
    distances = [abs(value - center) for value in values]
    reach = TRIM * MAD_TO_SIGMA * median(distances)
    inside = [distance * distance for distance in distances if distance <= reach]
    return TRIMMED_TO_SIGMA * sqrt(sum(inside) / len(inside))


def baseline(points: Points, today: int) -> Baseline | None:
    """What `today` would usually be after `points`; None where they are too few."""
    if len(points) < MIN_HISTORY:
        return None
    days = [day for day, _ in points]
    logs = [log(value) for _, value in points]
    rhythm = weekdays(days, logs)
    flat = [value - rhythm[day % WEEK] for day, value in zip(days, logs, strict=True)]
    past = range(WEEK, len(flat))
    trend, spread = _noise(flat, [flat[at] - median(flat[at - WEEK : at]) for at in past])
    surprises = [flat[at] - _level(flat[:at]) for at in past]
    news = sorted(
        (now - max(0.0, before) for before, now in pairwise([0.0, *surprises])), reverse=True
    )
    level = _level(flat) + trend
    return Baseline(
        level=level,
        weekday=rhythm[today % WEEK],
        spread=spread,
        ceiling=news[BUSY_DAYS] - trend if len(news) >= RHYTHM_HISTORY else 0.0,
        last=surprises[-1] - trend if surprises else 0.0,
        quietest=level + min(rhythm),
        has_rhythm=any(rhythm),
    )


def _level(flat: Sequence[float]) -> float:
    """The last week's, or that of four if it is higher: after days off, work is no spike."""
    return max(median(flat[-WEEK:]), median(flat[-4 * WEEK :]))


def weekdays(days: Sequence[int], logs: Sequence[float]) -> list[float]:
    """What each weekday adds to the level around it, in logs; all 0 where there is no rhythm.

    A rhythm is one that stands out of the noise: seven medians of noise alone are up to 1.4 of
    its standard deviations apart.
    """
    none = [0.0] * WEEK
    if len(logs) < RHYTHM_HISTORY:
        return none
    offsets: list[list[float]] = [[] for _ in none]
    for number, (day, value) in enumerate(zip(days, logs, strict=True)):
        first = min(max(number - 3, 0), len(logs) - WEEK)
        offsets[day % WEEK].append(value - median(logs[first : first + WEEK]))
    factors = [median(found) if len(found) >= 3 else 0.0 for found in offsets]
    noise = [
        offset - factor for found, factor in zip(offsets, factors, strict=True) for offset in found
    ]
    apart = max(factors) - min(factors)
    return factors if apart > max(0.1, 3.5 * spread_of(noise, 0.0)) else none


def _noise(flat: Sequence[float], changes: Sequence[float]) -> tuple[float, float]:
    """By how much the week's level lags behind, and the spread of a day about it."""
    if len(changes) < WEEK:
        return 0.0, max(MIN_YOUNG_SPREAD, spread_of(flat, median(flat)))
    recent = changes[-MONTH:]
    lag = median(recent)
    return lag, max(MIN_SPREAD, spread_of(recent, lag))
