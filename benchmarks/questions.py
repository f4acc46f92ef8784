"""The questions, each as an address of the API and as SQL over the raw events.

The SQL is plain and runs on DuckDB and ClickHouse alike: `{month}` is the condition for the last
31 days. Both give rows of (names..., cost, events) that must equal the API's, in any order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from benchmarks.data import Shape

Row = tuple[Any, ...]
KATHMANDU = "Asia/Kathmandu"
ONE = {"entity_type": "team", "entity_id": "entity-901"}


@dataclass(frozen=True)
class Question:
    """One question; `rows` reads the API's answer as the SQL's rows."""

    name: str
    path: str
    sql: str
    rows: Callable[[dict[str, Any]], list[Row]]


def questions(shape: Shape) -> list[Question]:
    """The questions about the last 31 days of the data."""
    start, end = shape.last_day - timedelta(days=30), shape.last_day
    period = {"start_date": start, "end_date": end}
    month = _between(start, end, "UTC")
    in_kathmandu = _between(start, end, KATHMANDU)

    def costs(
        name: str, group_by: str | None, select: str, where: str = month, **more: Any
    ) -> Question:
        address = {**period, **({"group_by": group_by} if group_by else {}), **more}
        keys = [] if not group_by else KEYS[group_by]
        names = f"{select}, " if select else ""
        by = f"GROUP BY {select}" if select else ""
        sql = f"SELECT {names}sum(cost), count(*) FROM event WHERE {where} {by}"
        return Question(name, _path("costs", **address), sql, lambda body: _costs(body, keys))

    def series(name: str, interval: str, bucket: str) -> Question:
        sql = f"SELECT {bucket}, sum(cost), count(*) FROM event WHERE {month} GROUP BY 1"
        path = _path("costs/timeseries", **period, interval=interval)
        return Question(name, path, sql, _series)

    entity = "entity_type, entity_id"
    one = f"{month} AND entity_type = 'team' AND entity_id = 'entity-901'"
    tagged = f"{month} AND feature = 'feature-1'"
    before = _between(start - timedelta(days=31), end - timedelta(days=31), "UTC")
    return [
        costs("costs", None, ""),
        costs("costs by entity", "entity", entity),
        costs("costs by model", "model", "model, provider"),
        costs("costs by day", "day", DAY),
        costs("costs by tag", "tags.feature", "feature"),
        costs("by entity, Kathmandu", "entity", entity, in_kathmandu, timezone=KATHMANDU),
        costs("costs of a tag by day", "day", DAY, tagged, tags="feature:feature-1"),
        costs("one entity by model", "model", "model, provider", one, **ONE),
        costs("one entity by day", "day", DAY, one, **ONE),
        series("timeseries by day", "day", DAY),
        series("timeseries by hour", "hour", HOUR),
        Question(
            "models", _path("models", **period),
            f"SELECT model, provider, sum(cost), count(*) FROM event WHERE {month} GROUP BY 1, 2",
            lambda body: _costs(body, ["model", "provider"]),
        ),
        Question(
            "top entities", _path("entities/top", **period, limit=100),
            "SELECT entity_type, entity_id, sum(cost), count(*) FROM event"
            f" WHERE {month} GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100",
            lambda body: _costs(body, ["entity_type", "entity_id"]),
        ),
        Question(
            "sessions", _path("sessions", **period, limit=100),
            "SELECT session_id, sum(cost), count(*) FROM event GROUP BY 1"
            f" HAVING {month.replace('timestamp', 'min(timestamp)')}"
            " ORDER BY min(timestamp) DESC, session_id LIMIT 100",
            lambda body: [
                (row["session_id"], row["total_cost"], row["turn_count"]) for row in body["data"]
            ],
        ),
        Question(
            "compare",
            _path(
                "compare", period1_start=start, period1_end=end,
                period2_start=start - timedelta(days=31), period2_end=end - timedelta(days=31),
            ),
            f"SELECT 1, sum(cost), count(*) FROM event WHERE {month}"
            f" UNION ALL SELECT 2, sum(cost), count(*) FROM event WHERE {before}",
            lambda body: [
                (number, body[name]["total_cost"], body[name]["total_events"])
                for number, name in ((1, "period1"), (2, "period2"))
            ],
        ),
    ]  # fmt: skip


DAY = "strftime(timestamp, '%Y-%m-%d')"
HOUR = "strftime(timestamp, '%Y-%m-%dT%H:00:00Z')"
KEYS = {
    "entity": ["entity_type", "entity_id"],
    "model": ["model", "provider"],
    "day": ["day"],
    "tags.feature": ["tags.feature"],
}


def for_clickhouse(sql: str) -> str:
    """The few words that ClickHouse spells another way."""
    return sql.replace(
        "strftime(timestamp, '%Y-%m-%d')", "formatDateTime(timestamp, '%Y-%m-%d')"
    ).replace(
        "strftime(timestamp, '%Y-%m-%dT%H:00:00Z')",
        "formatDateTime(timestamp, '%Y-%m-%dT%H:00:00Z')",
    )


def comparable(rows: list[Row]) -> list[Row]:
    """Rows with exact costs, in one order."""
    exact = [(*map(str, row[:-2]), Decimal(str(row[-2])).normalize(), int(row[-1])) for row in rows]
    return sorted(exact)


def _path(name: str, **params: Any) -> str:
    return f"/v1/analytics/{name}?{urlencode(params)}"


def _between(start: Any, end: Any, zone: str) -> str:
    since, until = (
        datetime.combine(day, datetime.min.time(), ZoneInfo(zone)).astimezone(ZoneInfo("UTC"))
        for day in (start, end + timedelta(days=1))
    )
    return (
        f"timestamp >= TIMESTAMP '{since:%Y-%m-%d %H:%M:%S}'"
        f" AND timestamp < TIMESTAMP '{until:%Y-%m-%d %H:%M:%S}'"
    )


def _costs(body: dict[str, Any], keys: list[str]) -> list[Row]:
    return [
        (*(row[key] for key in keys), row["total_cost"], row["total_events"])
        for row in body["data"]
    ]


def _series(body: dict[str, Any]) -> list[Row]:
    by_day = body["interval"] == "day"
    return [
        (row["timestamp"][:10] if by_day else row["timestamp"], row["cost"], row["events"])
        for row in body["data"]
        if row["events"]
    ]
