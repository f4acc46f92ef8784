"""Which models, tags and sessions a change came from, asked through the Query."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from analytics.anomalies.explain import Use, differences, effects, exact, foremost
from analytics.models import AnomalyType
from analytics.query import Query
from analytics.sql import Measures, groups
from apikeys.problems import Problem
from events.money import percent

MOST_TAG_SETS = 200
"""The dearest; a tag that is different on every call would be all of the log."""
TOP_SESSIONS = 5
DIMENSIONS = ("effects", "models", "tags", "sessions")

Contributors = dict[str, list[list[Any]] | None]
"""Dimension → [name, change] pairs; the name None is everything else. None: the log is gone."""
Parts = dict[str | None, Fraction]

MEASURED: dict[AnomalyType, Callable[[Measures], Decimal | int]] = {
    AnomalyType.COST_SPIKE: lambda measures: measures.cost,
    AnomalyType.COST_DROP: lambda measures: measures.cost,
    AnomalyType.COST_PER_EVENT_SPIKE: lambda measures: measures.cost,
    AnomalyType.USAGE_SPIKE: lambda measures: measures.events,
    AnomalyType.ERROR_SPIKE: lambda measures: measures.failed_events,
    AnomalyType.LATENCY_SPIKE: lambda measures: measures.latency_sum,
}
"""The measure that a type's value is made of."""
OF_COST = {AnomalyType.COST_SPIKE, AnomalyType.COST_DROP, AnomalyType.COST_PER_EVENT_SPIKE}


class Side(NamedTuple):
    """One of two values that are compared, and the facts that it is made of."""

    query: Query
    value: Decimal


def contributors(now: Side, base: Side, type: AnomalyType) -> Contributors:
    """What the change from `base` to `now` is made of. Call it inside a snapshot.

    Each list adds up to `now.value - base.value`. The facts of a side are scaled to its value:
    those of a week to a day, those of a day to its average call.
    """
    one, two = _Parts(now, type), _Parts(base, type)
    change = now.value - base.value
    found: dict[str, Parts | None] = {
        "effects": dict(effects(one.uses(), two.uses()).items()) if type in OF_COST else {},
        "models": foremost(differences(one.by_model(), two.by_model())),
        "tags": _if_in_log(lambda: _tags(one, two)),
        "sessions": _if_in_log(lambda: _sessions(one, two)),
    }
    return {
        dimension: None if parts is None else _pairs(exact(parts, change) if parts else {})
        for dimension, parts in found.items()
    }


class _Parts:
    """The facts of one side, by whatever is asked, as parts of its value."""

    def __init__(self, side: Side, type: AnomalyType) -> None:
        self.query = side.query
        self.measured = MEASURED[type]
        self.per_call = type == AnomalyType.COST_PER_EVENT_SPIKE
        self.models = {
            f"{group.names['provider']}/{group.names['model']}": group.measures
            for group in groups(replace(side.query, dimensions=("model",)))
        }
        whole = Fraction(sum(map(self.measured, self.models.values()), 0))
        self.factor = Fraction(side.value) / whole if whole else Fraction(0)
        self.whole = whole * self.factor

    def by_model(self) -> Parts:
        return {name: self.part(measures) for name, measures in self.models.items()}

    def part(self, measures: Measures) -> Fraction:
        return Fraction(self.measured(measures)) * self.factor

    def uses(self) -> dict[str, Use]:
        """What was used of each model. Per call, there is one call in all."""
        calls = sum(measures.events for measures in self.models.values())
        scale = Fraction(1, calls) if self.per_call and calls else self.factor
        return {
            name: Use(
                one.events * scale,
                (one.input_tokens + one.output_tokens) * scale,
                Fraction(one.cost) * self.factor,
            )
            for name, one in self.models.items()
        }

    def tag_parts(self) -> dict[str, Parts]:
        """Key → the parts of its values; what lies in no tag set that was read is None's."""
        found: dict[str, Parts] = defaultdict(lambda: defaultdict(Fraction))
        for group in groups(replace(self.query, dimensions=("tag_set",), limit=MOST_TAG_SETS)):
            for key, value in json.loads(group.names["tags"] or "{}").items():
                found[key][value] += self.part(group.measures)
        return found


def _tags(now: _Parts, base: _Parts) -> Parts:
    """By the values of the one key that tells most: whose foremost value changed most."""
    sides = now.tag_parts(), base.tag_parts()
    best: Parts = {}
    for key in sorted({**sides[0], **sides[1]}):
        values = differences(*(side.get(key, {}) for side in sides))
        parts: Parts = {f"{key}:{value}": part for value, part in values.items()}
        if _largest(parts) > _largest(best):
            best = parts
    if best:
        best[None] = now.whole - base.whole - sum(best.values(), Fraction(0))
    return foremost(best)


def _largest(parts: Parts) -> Fraction:
    return max(map(abs, parts.values()), default=Fraction(0))


def _sessions(now: _Parts, base: _Parts) -> Parts:
    """The dearest sessions of now; a session seldom has a past."""
    found = groups(replace(now.query, dimensions=("session",), limit=TOP_SESSIONS + 1))
    named = [(group.names["session_id"], now.part(group.measures)) for group in found]
    parts: Parts = {name: part for name, part in named if name is not None}
    if not parts:
        return {}
    return foremost({**parts, None: now.whole - base.whole - sum(parts.values(), Fraction(0))})


def _if_in_log(read: Callable[[], Parts]) -> Parts | None:
    """None where single events are needed that retention has dropped."""
    try:
        return read()
    except Problem:
        return None


def _pairs(parts: Mapping[str | None, Decimal]) -> list[list[Any]]:
    return [[name, f"{change:f}"] for name, change in parts.items()]


def told(found: Contributors, change: Decimal) -> Iterator[tuple[str, Any]]:
    """As the API writes them: rows of name, change and share in percent."""
    for dimension in (
        name for name in DIMENSIONS if name in found
    ):  # jsonb has an order of its own
        pairs = found[dimension]
        yield (
            dimension,
            None if pairs is None else [_row(name, Decimal(part), change) for name, part in pairs],
        )


def _row(name: str | None, part: Decimal, change: Decimal) -> dict[str, Any]:
    return {"name": name, "change": part, "share": percent(part, change)}
