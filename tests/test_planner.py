"""The planner is a pure function, so every combination can be asked of it."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from zoneinfo import ZoneInfo

import pytest

from analytics.periods import INTERVALS, Period, buckets
from analytics.planner import merged, plan, plan_from
from events.rollups import Grain, Rollup

COLUMNS = ("entity_id", "entity_type", "model_id", "tag_set_id")
COMBINATIONS = [
    frozenset(column for column, used in zip(COLUMNS, choice, strict=True) if used)
    for choice in product([False, True], repeat=len(COLUMNS))
]
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
# Both changes of Berlin's clocks, and ends of months and of a year.
PERIODS = [(date(2025, 3, 28), date(2025, 4, 2)), (date(2024, 12, 30), date(2025, 1, 8))]


def edges_of(interval, zone, days):
    period = Period.of_days(*days, ZoneInfo(zone))
    inner = buckets(period, interval).edges if interval else [period.since]
    return [*inner, period.until]


@pytest.mark.parametrize("dimensions", COMBINATIONS, ids=lambda value: "+".join(sorted(value)))
@pytest.mark.parametrize("interval", [None, *INTERVALS])
@pytest.mark.parametrize("zone", ZONES)
def test_a_plan_covers_the_period_once_and_respects_every_edge(dimensions, interval, zone):
    for days in PERIODS:
        edges = edges_of(interval, zone, days)
        parts = plan(dimensions, edges)
        spans = sorted(span for part in parts for span in part.spans)
        assert merged(spans) == [(edges[0], edges[-1])]
        assert all(before[1] == after[0] for before, after in pairwise(spans))
        for part in parts:
            if part.source:
                assert_whole_buckets(part, edges, dimensions)


def assert_whole_buckets(part, edges, dimensions):
    """Each bucket that is read lies within one bucket of the question."""
    assert part.source.covers(dimensions)
    step = timedelta(minutes=part.source.grain)
    for since, until in part.spans:
        assert (since - datetime(2000, 1, 3, tzinfo=UTC)) % step == timedelta()
        assert (until - since) % step == timedelta()
        for edge in edges:
            if since < edge < until:
                assert (edge - since) % step == timedelta()


@pytest.mark.parametrize(
    ("dimensions", "interval", "zone", "sources"),
    [
        ((), None, "UTC", ["day_type_model"]),
        ((), "day", "Europe/Berlin", ["quarter"]),
        ((), None, "Europe/Berlin", ["day_type_model", "quarter"]),
        ((), "hour", "Asia/Kathmandu", ["quarter"]),
        (("model_id",), "hour", "Asia/Kathmandu", ["quarter_type_model"]),
        (("entity_type",), "month", "UTC", ["day_type_model"]),
        (("model_id",), "week", "UTC", ["day_type_model"]),
        (("entity_id",), None, "UTC", ["day_entity"]),
        (("entity_id",), "hour", "UTC", ["hour_entity"]),
        (("entity_id",), None, "Europe/Berlin", ["day_entity", "hour_entity"]),
        (("entity_id",), None, "Asia/Kathmandu", ["day_entity", "hour_entity", "log"]),
        (("entity_id", "model_id"), None, "UTC", ["day_entity_model"]),
        (("entity_id", "model_id"), "hour", "UTC", ["log"]),
        (("tag_set_id",), None, "UTC", ["day_tags"]),
        (("tag_set_id",), "hour", "UTC", ["quarter_tags"]),
        (("tag_set_id", "model_id"), None, "UTC", ["log"]),
        (("tag_set_id", "entity_type"), None, "UTC", ["log"]),
    ],
)
def test_the_smallest_rollup_that_covers_is_taken(dimensions, interval, zone, sources):
    parts = plan(frozenset(dimensions), edges_of(interval, zone, PERIODS[0]))
    assert sorted(part.source.name if part.source else "log" for part in parts) == sorted(sources)


def test_a_long_range_in_another_zone_is_whole_days_and_two_edges():
    since, until = (
        datetime(2025, 1, 1, 18, 15, tzinfo=UTC),
        datetime(2025, 1, 4, 18, 15, tzinfo=UTC),
    )
    day, hour = Rollup("day", Grain.DAY, ()), Rollup("hour", Grain.HOUR, ())

    found = {
        part.source and part.source.name: part.spans
        for part in plan_from([day, hour], [since, until])
    }

    assert found == {
        "day": ((at(2), at(4)),),
        "hour": ((at(1, 19), at(2)), (at(4), at(4, 18))),
        None: ((since, at(1, 19)), (at(4, 18), until)),
    }


def test_a_month_of_entities_is_whole_weeks_and_the_days_around_them():
    parts = plan(frozenset(["entity_id"]), [at(1), at(31)])
    found = {part.source.name: part.spans for part in parts if part.source}
    assert found == {
        "week_entity": ((at(6), at(27)),),
        "day_entity": ((at(1), at(6)), (at(27), at(31))),
    }


def at(day, hour=0):
    return datetime(2025, 1, day, hour, tzinfo=UTC)
