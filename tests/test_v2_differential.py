"""Random questions about random events: each number of the second surface is that of the first."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import groupby
from random import Random
from typing import Any

import pytest
import time_machine

from events.models import Entity
from events.roller import roll_up
from tests import population, v2
from tests.conftest import Api, new_api
from tests.oracle import Row, half_up, ratio

QUESTIONS_EACH = 100
DAY = timedelta(days=1)
RETYPED = {"customer": "agent", "Ünit": "user"}
TABLES = ("costs", "tokens", "query-counts", "most-active")
SERIES = ("costs", "tokens", "query-counts")
PATHS = [path for path in v2.ANSWERED if path != "entity-counts"]


@cache
def account(kind: int) -> Api:
    """An account with entities of all kinds, some named; half of its events are rolled up."""
    api, events = new_api(), population.events(population.KINDS[kind], f"v2 {kind}")
    for event in events:
        if "entity_type" in event:
            event["entity_type"] = RETYPED.get(event["entity_type"], event["entity_type"])
    half = len(events) // 2
    api.send(*events[:half])
    while roll_up():
        pass
    api.send(*events[half:])
    for entity in Entity.objects.filter(account=api.account, entity_id__startswith="a"):
        Entity.objects.filter(pk=entity.pk).update(name=f"Name of {entity.entity_id}")
    return api


# --- the question ----------------------------------------------------------------------------


def question(api: Api, random: Random) -> tuple[str, date, date, Row]:
    """An address, the days that it is about, and its parameters beside the period."""
    path = random.choice(PATHS)
    kind, name = v2.parts(path)
    start, end = map(date.fromisoformat, population.days(random))
    asked: Row = {}
    if name in SERIES and random.random() < 0.6:
        asked |= {"time_series": "true", "bucket_type": random.choice(["day", "week", "month"])}
    if kind and name != "summary":
        asked["limit"] = random.choice([1, 2, 5, None, 1000])
    if kind and random.random() < 0.4:
        ids = [entity["entity_id"] for entity in entities(api, kind)]
        asked[f"{v2.KINDS[kind][0]}_id"] = [*random.sample(ids, min(3, len(ids))), "nobody"]
    return path, start, end, asked


def ask(api: Api, path: str, start: date, end: date, asked: Row, random: Random) -> Any:
    """The answer: by dates, by instants, or by the days up to the day on which it is asked."""
    days, now = (end - start).days, datetime.combine(end, datetime.min.time(), UTC)
    spelled = {
        "dates": {"type": "range", "start_date": start, "end_date": end},
        "instants": {
            "type": "range",
            "start_date": f"{start}T00:00:00",
            "end_date": f"{end + DAY}T00:00:00Z",
        },
        "days": {"type": "fixed", "days": days},
    }
    way = random.choice([*spelled] if days >= 1 else ["dates", "instants"])
    with time_machine.travel(now + random.random() * DAY, tick=False):
        return v2.answer(api.get(f"{v2.PREFIX}{path}", **spelled[way], **asked))


# --- the same from the first surface ----------------------------------------------------------


def entities(api: Api, kind: str) -> list[Row]:
    return [
        entity
        for entity_type in v2.KINDS[kind][1]
        for entity in api.read("/v1/entities", type=entity_type, limit=1000)["data"]
    ]


def facts(api: Api, path: str, start: date, end: date, asked: Row, interval: str | None) -> Any:
    """The rows of /v1/analytics/costs by (time and) entity; of those meant, if a kind is asked."""
    kind, _ = v2.parts(path)
    period = {"start_date": start, "end_date": end}
    group_by = ",".join([*([interval] if interval else []), "entity"])
    if kind is None:
        return api.read("/v1/analytics/costs", **period, group_by=group_by)["data"]
    noun, types = v2.KINDS[kind]
    rows = [
        row
        for entity_type in types
        for row in api.read(
            "/v1/analytics/costs", **period, group_by=group_by, entity_type=entity_type
        )["data"]
    ]
    meant = asked.get(f"{noun}_id")
    return [row for row in rows if meant is None or row["entity_id"] in meant]


def tokens(row: Row) -> int:
    return row["total_input_tokens"] + row["total_output_tokens"]


def cost(row: Row) -> Decimal:
    return Decimal(row["total_cost"])


def values(name: str, row: Row) -> Row:
    """A row of the first surface as the second one writes it; the cost as a number."""
    costs = {"total_tokens": tokens(row), "total_cost": cost(row)}
    counts = {"query_count": row["total_events"]}
    return {
        "costs": costs,
        "query-counts": counts,
        "most-active": counts | costs,
        "tokens": {
            "prompt_tokens": row["total_input_tokens"],
            "completion_tokens": row["total_output_tokens"],
            "total_tokens": tokens(row),
        },
    }[name]


ORDERS = {"costs": cost, "tokens": tokens}


def order(name: str, row: Row) -> Any:
    most = ORDERS.get(name, lambda row: row["total_events"])(row)
    return -most, row["entity_type"].encode(), row["entity_id"].encode()


def day_of(row: Row, interval: str | None) -> Row:
    if interval is None:
        return {}
    return {"date": f"{row[interval]}-01" if interval == "month" else row[interval]}


def expected_table(api: Api, path: str, start: date, end: date, asked: Row) -> list[Row]:
    """The first `limit` of each bucket, or of all."""
    kind, name = v2.parts(path)
    assert kind
    interval = asked.get("bucket_type")
    names = {(e["entity_type"], e["entity_id"]): e["name"] for e in entities(api, kind)}
    rows = facts(api, path, start, end, asked, interval)
    rows.sort(key=lambda row: (row.get(interval, ""), order(name, row)))
    found = []
    for _, bucket in groupby(rows, key=lambda row: row.get(interval)):
        for row in list(bucket)[: asked.get("limit") or 10]:
            shown = names[row["entity_type"], row["entity_id"]] or row["entity_id"]
            named = {f"{v2.KINDS[kind][0]}_name": shown}
            found.append(day_of(row, interval) | named | values(name, row))
    return found


def expected_overall(api: Api, name: str, start: date, end: date, asked: Row) -> list[Row]:
    """One row, or one of every bucket: those without events are zeros."""
    period = {"start_date": start, "end_date": end}
    interval = asked.get("bucket_type")
    rows = api.read("/v1/analytics/costs", **period, group_by=interval)["data"]
    if interval is None:
        return [values(name, row) for row in rows]
    nothing = dict.fromkeys(values(name, rows[0] if rows else ZERO), 0)
    buckets = api.read("/v1/analytics/costs/timeseries", **period, interval=interval)["data"]
    found = {day_of(row, interval)["date"]: values(name, row) for row in rows}
    days = [bucket["timestamp"][:10] for bucket in buckets]
    return [{"date": day} | found.get(day, nothing) for day in days]


ZERO = {
    "total_cost": "0.00",
    "total_events": 0,
    "total_input_tokens": 0,
    "total_output_tokens": 0,
}
SUMS = (*("total_events", "total_input_tokens", "total_output_tokens"), "unpriced_events")


def total(rows: list[Row]) -> Row:
    """Rows of the first surface, summed."""
    found: Row = {name: sum(row[name] for row in rows) for name in SUMS}
    return found | {"total_cost": sum(map(cost, rows), Decimal(0))}


def percent(change: Any, base: Any) -> str | None:
    share = ratio(change * 100, base)
    return None if share is None else f"{half_up(share, 1):.1f}"


def expected_summary(api: Api, path: str, start: date, end: date, asked: Row) -> Row:
    length = end - start + DAY
    rows = facts(api, path, start, end, asked, None)
    now = total(rows)
    before = total(facts(api, path, start - length, start - DAY, asked, None))
    priced = now["total_events"] - now["unpriced_events"]
    average = ratio(tokens(now), now["total_events"])
    mean_cost = ratio(now["total_cost"], priced)
    times = sorted(moments(api, path, start, end, rows))
    changes: Row = {}
    for name, of in [("queries", lambda row: row["total_events"]), ("tokens", tokens)]:
        changes[f"{name}_change"] = of(now) - of(before)
        changes[f"{name}_change_percent"] = percent(of(now) - of(before), of(before))
    change = now["total_cost"] - before["total_cost"]
    changes |= {"cost_change": change}
    changes |= {"cost_change_percent": percent(change, before["total_cost"])}
    return {
        "query_count": now["total_events"],
        **values("tokens", now),
        "total_cost": now["total_cost"],
        "unpriced_events": now["unpriced_events"],
        "avg_tokens_per_query": None if average is None else f"{half_up(average, 1):.1f}",
        "avg_cost_per_query": None if mean_cost is None else half_up(mean_cost, 10),
        f"active_{v2.parts(path)[0] or 'entities'}": sum(bool(row["entity_id"]) for row in rows),
        "first_activity": times[0] if times else None,
        "last_activity": times[-1] if times else None,
        "changes": changes,
    }


def moments(api: Api, path: str, start: date, end: date, rows: list[Row]) -> list[str]:
    """The times of the first and the last event of all, or of each entity among `rows`."""
    kind, _ = v2.parts(path)
    who = [{"entity_type": row["entity_type"], "entity_id": row["entity_id"]} for row in rows]
    found = []
    for entity in who if kind else [{}]:
        asked = {"start_date": start, "end_date": end, "limit": 1, **entity}
        newest = api.read("/v1/events", **asked)
        if count := newest["pagination"]["total"]:
            oldest = api.read("/v1/events", **asked, offset=count - 1)
            found += [newest["data"][0]["timestamp"], oldest["data"][0]["timestamp"]]
    return found


def expected_recent(api: Api, path: str, start: date, end: date, asked: Row) -> list[Row]:
    kind, _ = v2.parts(path)
    assert kind
    noun = v2.KINDS[kind][0]
    meant = asked.get(f"{noun}_id")
    found = [
        entity
        for entity in entities(api, kind)
        if start.isoformat() <= entity["last_seen"][:10] <= end.isoformat()
        and (meant is None or entity["entity_id"] in meant)
    ]
    found.sort(key=lambda e: (e["entity_type"].encode(), e["entity_id"].encode()))
    found.sort(key=lambda e: datetime.fromisoformat(e["last_seen"]), reverse=True)
    return [
        {f"{noun}_name": e["name"] or e["entity_id"], "last_activity": e["last_seen"]}
        for e in found[: asked.get("limit") or 10]
    ]


def expected(api: Api, path: str, start: date, end: date, asked: Row) -> Any:
    kind, name = v2.parts(path)
    if name == "summary":
        return expected_summary(api, path, start, end, asked)
    if name == "recent":
        return expected_recent(api, path, start, end, asked)
    if kind:
        return expected_table(api, path, start, end, asked)
    rows = expected_overall(api, name, start, end, asked)
    return [rows] if name == "tokens" else rows


def numbers(answer: Any) -> Any:
    """An answer with its amounts as numbers, each of which must be written as money is."""
    if isinstance(answer, list):
        return [numbers(value) for value in answer]
    if isinstance(answer, dict):
        return {key: number(key, value) for key, value in answer.items()}
    return answer


def number(key: str, value: Any) -> Any:
    if key in ("total_cost", "avg_cost_per_query", "cost_change") and value is not None:
        assert isinstance(value, str)
        assert len(value.partition(".")[2]) >= 5
        return Decimal(value)
    return numbers(value)


@pytest.mark.parametrize("case", range(QUESTIONS_EACH))
@pytest.mark.parametrize("kind", range(len(population.KINDS)))
def test_answer_is_that_of_the_first_surface(kind, case):
    random = Random(f"v2 question {kind} {case}")
    api = account(kind)
    path, start, end, asked = question(api, random)
    answer = numbers(ask(api, path, start, end, asked, random))
    assert answer == expected(api, path, start, end, asked), (path, start, end, asked)


@pytest.mark.parametrize("path", [path for path in PATHS if v2.parts(path)[1] in SERIES])
@pytest.mark.parametrize("kind", range(len(population.KINDS)))
def test_series_sum_to_totals_and_keep_the_limit_in_each_bucket(kind, path):
    api, random = account(kind), Random(f"v2 sums {kind} {path}")
    in_kind, _ = v2.parts(path)
    for bucket_type in ("day", "week", "month"):
        start, end = map(date.fromisoformat, population.days(random))
        series = {"time_series": "true", "bucket_type": bucket_type}
        most = {"limit": 1000} if in_kind else {}
        whole = sums(ask(api, path, start, end, most, random))
        assert sums(ask(api, path, start, end, most | series, random)) == whole
        if in_kind:
            rows = ask(api, path, start, end, series | {"limit": 2}, random)
            sizes = [len(list(rows)) for _, rows in groupby(rows, key=lambda row: row["date"])]
            assert set(sizes) <= {1, 2}


def sums(answer: Any) -> dict[Any, Any]:
    """What each name (None: overall) has in all, by key; a zero is nothing."""
    rows = answer[0] if answer and isinstance(answer[0], list) else answer
    found: dict[Any, Any] = defaultdict(Decimal)
    for row in rows:
        (name,) = [value for key, value in row.items() if key.endswith("_name")] or [None]
        for key, value in row.items():
            if key != "date" and not key.endswith("_name"):
                found[name, key] += Decimal(value)
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("kind", range(len(population.KINDS)))
def test_entity_counts_are_those_of_the_first_surface(kind):
    api = account(kind)
    counts = v2.answer(api.get(f"{v2.PREFIX}entity-counts"))
    assert counts == {name: len(entities(api, name)) for name in v2.KINDS}
    assert all(counts.values())
