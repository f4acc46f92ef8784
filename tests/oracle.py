"""What the analytics endpoints must answer, computed from the events that were sent.

Written from the contract alone, event by event and in the plainest way. It shares no code and no
idea with the product: an event's bucket is read off a clock in its zone, never off edges.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import cache
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
INTERVALS = ("hour", "day", "week", "month")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Number(str):
    """The text of a JSON number that is not an integer; equal to no string."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and str.__eq__(self, other)

    __hash__ = str.__hash__
    __repr__ = str.__str__


# --- numbers ---------------------------------------------------------------------------------


def money(amount: Decimal) -> Number:
    """At least two places, at most ten, no zeros beyond need."""
    whole, fraction = f"{amount:.10f}".split(".")
    return Number(f"{whole}.{fraction[:2]}{fraction[2:].rstrip('0')}")


def half_up(value: Fraction, places: int) -> Decimal:
    """Rounded exactly, a half away from zero."""
    size = floor(abs(value) * 10**places + Fraction(1, 2))
    return Decimal(size if value >= 0 else -size).scaleb(-places)


def ratio(part: Any, whole: Any) -> Fraction | None:
    return Fraction(part) / Fraction(whole) if whole else None


def one_decimal(value: Fraction | None) -> Number | None:
    return None if value is None else Number(f"{half_up(value, 1):.1f}")


def percent(part: Any, whole: Any) -> Number | None:
    return one_decimal(ratio(part * 100, whole))


# --- events ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """An event as it counts."""

    id: str
    at: datetime
    model: str
    provider: str
    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int
    cost: Decimal | None
    latency: int | None
    success: bool
    entity_type: str | None
    entity_id: str | None
    session: str | None
    tags: dict[str, str]


def facts(sent: Iterable[Row]) -> list[Fact]:
    """The events that count: of those with the same id, the first one."""
    first: dict[str, Row] = {}
    for event in sent:
        first.setdefault(event["id"], event)
    return [fact(event) for event in first.values()]


def fact(event: Row) -> Fact:
    return Fact(
        id=event["id"],
        at=datetime.fromisoformat(event["timestamp"]).astimezone(UTC),
        model=event["model"],
        provider=event["provider"],
        input=event["input_tokens"],
        output=event["output_tokens"],
        cache_read=event.get("cache_read_tokens", 0),
        cache_write=event.get("cache_write_tokens", 0),
        reasoning=event.get("reasoning_tokens", 0),
        cost=cost(event.get("cost_usd")),
        latency=event.get("latency_ms"),
        success=event.get("success", True),
        entity_type=event.get("entity_type"),
        entity_id=event.get("entity_id"),
        session=event.get("session_id"),
        tags={key: text(value) for key, value in event.get("tags", {}).items()},
    )


def cost(sent: str | float | None) -> Decimal | None:
    """A string as it is; a JSON number to ten places, half to even."""
    if sent is None:
        return None
    return Decimal(str(sent)).quantize(Decimal("1e-10"), ROUND_HALF_EVEN)


def text(tag: Any) -> str:
    return str(tag).lower() if isinstance(tag, bool) else str(tag)


# --- time ------------------------------------------------------------------------------------


def zone_of(question: Row) -> ZoneInfo:
    return ZoneInfo(question.get("timezone", "UTC"))


def within(start: str, end: str, zone: tzinfo, at: datetime) -> bool:
    return start <= at.astimezone(zone).date().isoformat() <= end


@cache
def first_instant(day: date, zone: tzinfo) -> datetime:
    """When a calendar day begins; that need not be at midnight."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    while at.astimezone(zone).date() < day:
        at += QUARTER
    return at


def floor_day(day: date, interval: str) -> date:
    if interval == "week":
        return day - day.weekday() * DAY
    return day.replace(day=1) if interval == "month" else day


def bucket(at: datetime, interval: str, zone: tzinfo) -> datetime:
    """The first instant of the bucket that `at` is in."""
    clock = at.astimezone(zone)
    if interval != "hour":
        return first_instant(floor_day(clock.date(), interval), zone)
    start = at - timedelta(
        minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond
    )
    while start.astimezone(zone).utcoffset() != clock.utcoffset():
        start += MINUTE  # the clock was changed within this hour
    return start


def buckets(start: str, end: str, interval: str, zone: tzinfo) -> list[datetime]:
    """Every bucket of a period, in order."""
    first, last = date.fromisoformat(start), date.fromisoformat(end)
    if interval == "hour":
        begin, close = first_instant(first, zone), first_instant(last + DAY, zone)
        moments = [begin + n * QUARTER for n in range((close - begin) // QUARTER)]
    else:
        moments = [first_instant(first + n * DAY, zone) for n in range((last - first).days + 1)]
    return list(dict.fromkeys(bucket(at, interval, zone) for at in moments))


def moment(at: datetime, zone: tzinfo) -> str:
    """RFC 3339; `Z` in UTC, the zone's offset elsewhere."""
    written = at.astimezone(zone).isoformat()
    return written.replace("+00:00", "Z") if str(zone) == "UTC" else written


def bucket_name(at: datetime, interval: str, zone: tzinfo) -> str:
    if interval == "hour":
        return moment(at, zone)
    day = at.astimezone(zone).date().isoformat()
    return day[:7] if interval == "month" else day


# --- what is asked ---------------------------------------------------------------------------


def escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace(",", "\\,")


def parameters(question: Row) -> dict[str, str]:
    """A question as the parameters of the request."""
    asked = dict(question)
    if "tags" in asked:
        pairs = (f"{escaped(key)}:{escaped(value)}" for key, value in asked["tags"])
        asked["tags"] = ",".join(pairs)
    if "group_by" in asked:
        asked["group_by"] = ",".join(asked["group_by"])
    return asked


def is_of_entity(fact: Fact, question: Row) -> bool:
    return all(
        question.get(name, getattr(fact, name)) == getattr(fact, name)
        for name in ("entity_type", "entity_id")
    )


def is_of_call(fact: Fact, question: Row) -> bool:
    return (
        question.get("model", fact.model) == fact.model
        and question.get("provider", fact.provider) == fact.provider
        and all(fact.tags.get(key) == value for key, value in question.get("tags", ()))
    )


def matching(facts: list[Fact], question: Row, period: str = "{}_date") -> list[Fact]:
    """The facts that pass a question's filters; `period` names its two dates."""
    start, end = question[period.format("start")], question[period.format("end")]
    zone = zone_of(question)
    return [
        fact
        for fact in facts
        if is_of_entity(fact, question)
        and is_of_call(fact, question)
        and within(start, end, zone, fact.at)
    ]


# --- measures and groups ---------------------------------------------------------------------


def total(facts: Iterable[Fact]) -> Decimal:
    return sum((fact.cost for fact in facts if fact.cost is not None), Decimal(0))


def unpriced(facts: Iterable[Fact]) -> int:
    return sum(fact.cost is None for fact in facts)


def average_latency(facts: list[Fact]) -> int | None:
    known = [fact.latency for fact in facts if fact.latency is not None]
    mean = ratio(sum(known), len(known))
    return None if mean is None else int(half_up(mean, 0))


def measures(facts: list[Fact]) -> Row:
    return {
        "total_cost": money(total(facts)),
        "total_events": len(facts),
        "total_input_tokens": sum(fact.input for fact in facts),
        "total_output_tokens": sum(fact.output for fact in facts),
        "avg_latency_ms": average_latency(facts),
        "failed_events": sum(not fact.success for fact in facts),
        "total_cache_read_tokens": sum(fact.cache_read for fact in facts),
        "total_cache_write_tokens": sum(fact.cache_write for fact in facts),
        "total_reasoning_tokens": sum(fact.reasoning for fact in facts),
        "unpriced_events": unpriced(facts),
    }


def bytewise(value: str | None) -> tuple[bool, bytes]:
    """The order of keys: by their bytes, null last."""
    return value is None, (value or "").encode()


def keys_of(fact: Fact, dimension: str, zone: tzinfo) -> Row:
    match dimension:
        case "entity":
            return {"entity_type": fact.entity_type, "entity_id": fact.entity_id}
        case "model":
            return {"model": fact.model, "provider": fact.provider}
        case "entity_type" | "provider":
            return {dimension: getattr(fact, dimension)}
        case "hour" | "day" | "week" | "month":
            return {dimension: bucket_name(bucket(fact.at, dimension, zone), dimension, zone)}
    return {dimension: fact.tags.get(dimension.removeprefix("tags."))}


@dataclass
class Group:
    keys: Row
    facts: list[Fact]

    @property
    def order(self) -> tuple[Any, ...]:
        return tuple(bytewise(value) for value in self.keys.values())


def groups(facts: list[Fact], dimensions: Iterable[str], zone: tzinfo) -> list[Group]:
    """The facts by their keys, dearest first, ties by the keys."""
    found: dict[tuple[Any, ...], Group] = {}
    for fact in facts:
        keys: Row = {}
        for dimension in dimensions:
            keys |= keys_of(fact, dimension, zone)
        found.setdefault(tuple(keys.values()), Group(keys, [])).facts.append(fact)
    return sorted(found.values(), key=lambda group: (-total(group.facts), group.order))


# --- the endpoints: rows, all of them --------------------------------------------------------


def costs_rows(facts: list[Fact], question: Row) -> list[Row]:
    zone, matched = zone_of(question), matching(facts, question)
    dimensions = question.get("group_by", ())
    if not dimensions:
        return [measures(matched)]
    found = groups(matched, dimensions, zone)
    for interval in set(dimensions) & set(INTERVALS):
        found.sort(key=lambda group: bucket(group.facts[0].at, interval, zone))
    return [group.keys | measures(group.facts) for group in found]


def timeseries_rows(facts: list[Fact], question: Row) -> list[Row]:
    zone, interval = zone_of(question), question.get("interval", "day")
    found: dict[datetime, list[Fact]] = {
        start: [] for start in buckets(question["start_date"], question["end_date"], interval, zone)
    }
    for fact in matching(facts, question):
        found[bucket(fact.at, interval, zone)].append(fact)
    return [
        {"timestamp": moment(start, zone), "cost": money(total(inside)), "events": len(inside)}
        for start, inside in found.items()
    ]


def models_rows(facts: list[Fact], question: Row) -> list[Row]:
    matched = matching(facts, question)
    return [
        group.keys
        | measures(group.facts)
        | {"percentage_of_total": percent(total(group.facts), total(matched))}
        for group in groups(matched, ["model"], UTC)
    ]


def top_rows(facts: list[Fact], question: Row) -> list[Row]:
    attributed = [fact for fact in matching(facts, question) if fact.entity_type is not None]
    found = groups(attributed, ["entity"], UTC)
    if question.get("order") == "asc":
        found.sort(key=lambda group: (total(group.facts), group.order))
    return [
        group.keys
        | {
            "total_cost": money(total(group.facts)),
            "total_events": len(group.facts),
            "rank": rank,
        }
        for rank, group in enumerate(found, 1)
    ]


def sessions(facts: list[Fact], question: Row) -> list[list[Fact]]:
    """The sessions that match, each with its events in order, newest first."""
    by_id: dict[str, list[Fact]] = {}
    for fact in sorted(facts, key=lambda fact: (fact.at, fact.id.encode())):
        if fact.session is not None:
            by_id.setdefault(fact.session, []).append(fact)
    zone, start, end = zone_of(question), question["start_date"], question["end_date"]
    matched = [
        turns
        for turns in by_id.values()
        if within(start, end, zone, turns[0].at)
        and is_of_entity(turns[0], question)
        and any(is_of_call(turn, question) for turn in turns)
    ]
    matched.sort(key=lambda turns: bytewise(turns[0].session))
    return sorted(matched, key=lambda turns: turns[0].at, reverse=True)


def sessions_rows(facts: list[Fact], question: Row) -> list[Row]:
    return [
        {
            "session_id": turns[0].session,
            "entity_type": turns[0].entity_type,
            "entity_id": turns[0].entity_id,
            "started_at": moment(turns[0].at, ZoneInfo("UTC")),
            "ended_at": moment(turns[-1].at, ZoneInfo("UTC")),
            "turn_count": len(turns),
            "total_cost": money(total(turns)),
            "total_tokens": sum(turn.input + turn.output for turn in turns),
        }
        for turns in sessions(facts, question)
    ]


def compare(facts: list[Fact], question: Row) -> Row:
    one, two = matching(facts, question, "period1_{}"), matching(facts, question, "period2_{}")
    change, events = total(one) - total(two), len(one) - len(two)
    return {
        "period1": period(one, question, "period1_"),
        "period2": period(two, question, "period2_"),
        "changes": {
            "cost_change": money(change),
            "cost_change_percent": percent(change, total(two)),
            "events_change": events,
            "events_change_percent": percent(events, len(two)),
        },
    }


def period(facts: list[Fact], question: Row, of: str) -> Row:
    return {
        "start": question[f"{of}start"],
        "end": question[f"{of}end"],
        "total_cost": money(total(facts)),
        "total_events": len(facts),
    }


def compare_rows(facts: list[Fact], question: Row) -> list[Row]:
    answer = compare(facts, question)
    changes = answer["changes"]
    rows = [
        answer["period1"],
        answer["period2"],
        {"total_cost": changes["cost_change"], "total_events": changes["events_change"]},
        {
            "total_cost": changes["cost_change_percent"],
            "total_events": changes["events_change_percent"],
        },
    ]
    empty = {"start": None, "end": None}
    names = ("period1", "period2", "change", "change_percent")
    return [{"row": name} | empty | row for name, row in zip(names, rows, strict=True)]


ROWS: dict[str, Callable[[list[Fact], Row], list[Row]]] = {
    "costs": costs_rows,
    "costs/timeseries": timeseries_rows,
    "models": models_rows,
    "entities/top": top_rows,
    "sessions": sessions_rows,
    "compare": compare_rows,
}
DEFAULT_LIMITS = {"entities/top": 10, "sessions": 100}


# --- whole answers ---------------------------------------------------------------------------


def answer(endpoint: str, facts: list[Fact], question: Row) -> Row:
    """The JSON body, with numbers that are not integers as their text."""
    if endpoint == "compare":
        return compare(facts, question)
    default = DEFAULT_LIMITS.get(endpoint)
    body: Row = {"data": page(ROWS[endpoint](facts, question), question, default)}
    if endpoint == "costs":
        body["summary"] = costs_summary(facts, question)
    elif endpoint == "costs/timeseries":
        body["interval"] = question.get("interval", "day")
    elif endpoint == "sessions":
        body["summary"] = sessions_summary(facts, question)
    return body


def table(endpoint: str, facts: list[Fact], question: Row) -> list[list[str]]:
    """The cells of the CSV below its header: all rows, unless a limit is asked for."""
    rows = page(ROWS[endpoint](facts, question), question, None)
    return [[cell(value) for value in row.values()] for row in rows]


def page(rows: list[Row], question: Row, default: int | None) -> list[Row]:
    offset, limit = question.get("offset", 0), question.get("limit", default)
    return rows[offset:] if limit is None else rows[offset : offset + limit]


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    is_text = isinstance(value, str) and not isinstance(value, Number)
    return f"'{value}" if is_text and value.startswith(FORMULA_STARTS) else str(value)


def costs_summary(facts: list[Fact], question: Row) -> Row:
    matched = matching(facts, question)
    return {
        "total_cost": money(total(matched)),
        "total_events": len(matched),
        "unpriced_events": unpriced(matched),
        "period": {"start": question["start_date"], "end": question["end_date"]},
    }


def sessions_summary(facts: list[Fact], question: Row) -> Row:
    found = sessions(facts, question)
    turns = [turn for turns in found for turn in turns]
    mean_cost = ratio(total(turns), len(found))
    return {
        "total_sessions": len(found),
        "avg_turns_per_session": one_decimal(ratio(len(turns), len(found))),
        "avg_cost_per_session": None if mean_cost is None else money(half_up(mean_cost, 4)),
        "unpriced_events": unpriced(turns),
    }


# --- the lists -------------------------------------------------------------------------------


def events(facts: list[Fact], question: Row) -> list[Row]:
    """The rows of the event list, all of them, newest first by (timestamp, id)."""
    matched = [
        fact
        for fact in facts
        if is_of_entity(fact, question)
        and is_of_call(fact, question)
        and question.get("session_id", fact.session) == fact.session
        and question.get("success", fact.success) == fact.success
        and is_since(fact.at, question)
        and is_until(fact.at, question)
    ]
    matched.sort(key=lambda fact: (fact.at, fact.id.encode()), reverse=True)
    return [event_row(fact) for fact in matched]


def is_since(at: datetime, question: Row) -> bool:
    start = question.get("start_date", "2000-01-01")
    if "T" in start:
        return at >= datetime.fromisoformat(start)
    return at.astimezone(zone_of(question)).date().isoformat() >= start


def is_until(at: datetime, question: Row) -> bool:
    """A day is included, an instant is not."""
    end = question.get("end_date", "2100-01-01")
    if "T" in end:
        return at < datetime.fromisoformat(end)
    return at.astimezone(zone_of(question)).date().isoformat() <= end


def event_row(fact: Fact) -> Row:
    return {
        "id": fact.id,
        "timestamp": moment(fact.at, ZoneInfo("UTC")),
        "model": fact.model,
        "provider": fact.provider,
        "input_tokens": fact.input,
        "output_tokens": fact.output,
        "total_tokens": fact.input + fact.output,
        "cache_read_tokens": fact.cache_read,
        "cache_write_tokens": fact.cache_write,
        "reasoning_tokens": fact.reasoning,
        "cost_usd": None if fact.cost is None else money(fact.cost),
        "latency_ms": fact.latency,
        "entity_type": fact.entity_type,
        "entity_id": fact.entity_id,
        "session_id": fact.session,
        "tags": fact.tags,
        "success": fact.success,
        "error_type": None,
        "error_code": None,
        "cache_write_1h_tokens": 0,
        "service_tier": "standard",
        "cost_source": "unpriced" if fact.cost is None else "reported",
    }


def entities(facts: list[Fact], question: Row) -> list[Row]:
    """The rows of the entity list, in no order."""
    wanted = {"entity_type": question["type"]} if "type" in question else {}
    attributed = [fact for fact in facts if fact.entity_type and is_of_entity(fact, wanted)]
    return [
        group.keys
        | {
            "name": None,
            "first_seen": moment(min(fact.at for fact in group.facts), ZoneInfo("UTC")),
            "last_seen": moment(max(fact.at for fact in group.facts), ZoneInfo("UTC")),
            "total_cost": money(total(group.facts)),
            "total_events": len(group.facts),
        }
        for group in groups(attributed, ["entity"], UTC)
    ]
