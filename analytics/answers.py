"""From measures to the rows of an answer: the keys, shapes and averages of the contract."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from analytics import sessions
from analytics.params import UTC_ZONE
from analytics.periods import INTERVALS, Bucket, Period, buckets
from analytics.query import SPENT, Query
from analytics.sql import NOTHING, Measures, groups, names_of, totals
from events.money import percent, total

Row = dict[str, Any]

MEASURE_KEYS = [
    "total_cost",
    "total_events",
    "total_input_tokens",
    "total_output_tokens",
    "avg_latency_ms",
    "failed_events",
    "total_cache_read_tokens",
    "total_cache_write_tokens",
    "total_reasoning_tokens",
    "unpriced_events",
]


SUMMED = ("cost", "events", "unpriced_events")
"""The measures of a summary."""


def costs_columns(query: Query) -> list[str]:
    """The keys of `costs_rows`."""
    return [*names_of(query), *MEASURE_KEYS]


def costs_rows(query: Query) -> Iterator[Row]:
    """One row per group: its names, then its measures."""
    name = _as_it_is if query.interval is None else _with_bucket_named
    for group in groups(query):
        yield name(group.names) | _measures(group.measures)


def costs_body(query: Query) -> Row:
    """The rows, and a summary of everything that matched, whatever the query's limit."""
    rows = list(costs_rows(query))
    whole = query.limit is None and query.offset == 0
    summary = _added_up(rows) if whole else _summary(totals(replace(query, measures=SUMMED)))
    return {
        "data": rows,
        "summary": summary | {"period": {"start": query.period.start, "end": query.period.end}},
    }


def _added_up(rows: list[Row]) -> Row:
    """The same from all the rows, which add up to it: nothing is read once more."""
    return {
        "total_cost": total(row["total_cost"] for row in rows),
        "total_events": sum(row["total_events"] for row in rows),
        "unpriced_events": sum(row["unpriced_events"] for row in rows),
    }


def _summary(measures: Measures) -> Row:
    return {
        "total_cost": measures.cost,
        "total_events": measures.events,
        "unpriced_events": measures.unpriced_events,
    }


def timeseries_rows(query: Query, interval: str) -> Iterator[Row]:
    """Every bucket of the period in order, the empty ones with 0."""
    for bucket, measures in series(replace(query, measures=SPENT), interval):
        yield {
            "timestamp": _offset_time(bucket.local),
            "cost": measures.cost,
            "events": measures.events,
        }


def series(query: Query, interval: str) -> Iterator[tuple[Bucket, Measures]]:
    """Every bucket of the period in order with what was spent in it."""
    query = replace(query, dimensions=(interval,))
    found = {group.names[interval].start: group.measures for group in groups(query)}
    for bucket in buckets(query.period, interval).buckets:
        yield bucket, found.get(bucket.start, NOTHING)


def models_rows(query: Query) -> Iterator[Row]:
    """One row per model with its share of everything that matched."""
    rows = list(costs_rows(replace(query, dimensions=("model",))))
    whole = total(row["total_cost"] for row in rows)
    for row in rows:
        yield row | {"percentage_of_total": percent(row["total_cost"], whole)}


def top_rows(query: Query) -> Iterator[Row]:
    """Entities by cost, ranked from 1."""
    query = replace(query, dimensions=("entity",), attributed=True, measures=SPENT)
    for rank, group in enumerate(groups(query), start=1):
        cost, events = group.measures.cost, group.measures.events
        yield group.names | {"total_cost": cost, "total_events": events, "rank": rank}


def sessions_rows(query: Query) -> Iterator[Row]:
    """One row per session, newest first."""
    return (session._asdict() for session in sessions.sessions(query))


def sessions_body(query: Query) -> Row:
    """The rows, and a summary of all sessions that matched, whatever the query's limit."""
    rows, found = sessions.page(query)
    return {
        "data": [session._asdict() for session in rows],
        "summary": {
            "total_sessions": found.sessions,
            "avg_turns_per_session": found.avg_turns,
            "avg_cost_per_session": found.avg_cost,
            "unpriced_events": found.unpriced_events,
        },
    }


def comparison(query: Query, period1: Period, period2: Period) -> Row:
    """Two periods side by side; a change is the first less the second, in percent of period2."""
    query = replace(query, measures=SPENT)
    one, two = (totals(replace(query, period=period)) for period in (period1, period2))
    return {
        "period1": _compared(period1, one),
        "period2": _compared(period2, two),
        "changes": {
            "cost_change": one.cost - two.cost,
            "cost_change_percent": percent(one.cost - two.cost, two.cost),
            "events_change": one.events - two.events,
            "events_change_percent": percent(one.events - two.events, two.events),
        },
    }


def comparison_rows(body: Row) -> Iterable[Row]:
    """A comparison as the four rows of its CSV."""
    changes = body["changes"]
    for name in ("period1", "period2"):
        yield {"row": name, **body[name]}
    for name, suffix in (("change", "change"), ("change_percent", "change_percent")):
        yield {
            "row": name,
            "start": None,
            "end": None,
            "total_cost": changes[f"cost_{suffix}"],
            "total_events": changes[f"events_{suffix}"],
        }


def _compared(period: Period, total: Measures) -> Row:
    return {
        "start": period.start,
        "end": period.end,
        "total_cost": total.cost,
        "total_events": total.events,
    }


def _measures(measures: Measures) -> Row:
    return {
        "total_cost": measures.cost,
        "total_events": measures.events,
        "total_input_tokens": measures.input_tokens,
        "total_output_tokens": measures.output_tokens,
        "avg_latency_ms": measures.avg_latency_ms,
        "failed_events": measures.failed_events,
        "total_cache_read_tokens": measures.cache_read_tokens,
        "total_cache_write_tokens": measures.cache_write_tokens,
        "total_reasoning_tokens": measures.reasoning_tokens,
        "unpriced_events": measures.unpriced_events,
    }


def _as_it_is(names: Row) -> Row:
    return names


def _with_bucket_named(names: Row) -> Row:
    return {name: _bucket_name(name, value) for name, value in names.items()}


def _bucket_name(name: str, value: Any) -> Any:
    """A time bucket as its dimension writes it; any other name as it is."""
    if name not in INTERVALS:
        return value
    assert isinstance(value, Bucket)
    if name == "hour":
        return _offset_time(value.local)
    return f"{value.day:%Y-%m}" if name == "month" else value.day


def _offset_time(moment: datetime) -> str:
    """RFC 3339; `Z` in UTC, the zone's offset in any other, also where that happens to be 0."""
    text = moment.isoformat()
    return text.replace("+00:00", "Z") if moment.tzinfo == UTC_ZONE else text
