"""The series that are judged, asked through the Query: rollups and tail, so always true."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from analytics.anomalies.baseline import HISTORY
from analytics.anomalies.detector import Series, day_number
from analytics.params import UTC_ZONE
from analytics.periods import Period
from analytics.query import SPENT, Filters, Query
from analytics.sql import Group, entity_days, groups
from events.days import DAY

JUDGED = ("cost", "events", "failed_events", "latency_sum", "latency_count")
"""The measures of a Series, in its order."""
Row = tuple[Any, ...]
"""A day's number and its measures, in the order of Series."""


def until(day: date, days: int = HISTORY) -> Period:
    """`day` and so many days before it."""
    return Period.of_days(day - days * DAY, day, UTC_ZONE)


def exact_series(query: Query) -> Series:
    """The days of whatever the query asks for, in Decimals."""
    found = groups(replace(query, dimensions=("day",), measures=JUDGED))
    return _series([_row(group) for group in found])


NO_DAYS = Series((), (), (), (), (), ())


def series_of_entities(query: Query) -> Iterator[tuple[int, Series]]:
    """Each entity's row id and its days, in floats: fast, and good enough to find suspects.

    A stream: call it inside a snapshot.
    """
    first = day_number(query.period.start) - 1
    for entity, numbers, *measures in entity_days(replace(query, measures=JUDGED)):
        days, lists = _merged([first + number for number in numbers], measures)
        yield entity, Series(days, *lists)


def _merged(days: list[int], lists: list[list[float]]) -> tuple[list[int], list[list[float]]]:
    """Days that come twice, rolled up and tail, added up."""
    if len(set(days)) == len(days):
        return days, lists
    single = sorted(set(days))
    added = [dict.fromkeys(single, 0.0) for _ in lists]
    for at, day in enumerate(days):
        for total, values in zip(added, lists, strict=True):
            total[day] += values[at]
    return single, [list(total.values()) for total in added]


def series_of_models(query: Query) -> Iterator[tuple[Filters, Series]]:
    """Each model's days, in Decimals."""
    rows: dict[Filters, list[Row]] = defaultdict(list)
    for group in groups(replace(query, dimensions=("model", "day"), measures=JUDGED)):
        filters = Filters(model=group.names["model"], provider=group.names["provider"])
        rows[filters].append(_row(group))
    for filters, days in rows.items():
        yield filters, _series(days)


def dear_entities(query: Query, minimum: Decimal) -> tuple[int, ...]:
    """The row ids of those that cost at least the minimum."""
    asked = replace(
        query,
        dimensions=("entity_row",),
        measures=SPENT,
        attributed=True,
        least_cost=minimum,
    )
    return tuple(int(group.names["entity_row"]) for group in groups(asked))


def hours(query: Query) -> dict[int, list[Decimal]]:
    """Day → the cost in each of its 24 hours; days without any are left out."""
    found: dict[int, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 24)
    for group in groups(replace(query, dimensions=("hour",), measures=SPENT)):
        start = group.names["hour"].start
        found[day_number(start.date())][start.hour] = group.measures.cost
    return dict(found)


def _series(rows: list[Row]) -> Series:
    return Series(*(list(column) for column in zip(*rows, strict=True))) if rows else NO_DAYS


def _row(group: Group) -> Row:
    found = group.measures
    return (
        day_number(group.names["day"].day),
        found.cost,
        Decimal(found.events),
        Decimal(found.failed_events),
        Decimal(found.latency_sum),
        Decimal(found.latency_count),
    )
