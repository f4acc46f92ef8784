"""Rollups against the log: show where they differ, or make them anew.

The tail is no part of the rollups, so both leave out the events of pending batches; and both go
back to where retention has cut the log, no further.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection, transaction

from events.retention import log_from
from events.roller import ENTITY_SQL, FACT_SQL, LOCK, SPEND_SQL
from events.rollups import (
    LONGER,
    OF_DAYS,
    ROLLUPS,
    Grain,
    Rollup,
    added_sql,
    facts_sql,
    roll_up_steps,
    upsert_sql,
)
from events.rules import EARLIEST
from events.session_rollup import SESSION_STEPS, TURN_SQL
from events.snapshot import snapshot

DAY = timedelta(days=1)

ROLLED_UP = "batch_id <> ALL(ARRAY(SELECT id FROM events_pendingbatch))"
OF_ACCOUNT = "(%(account_id)s::integer IS NULL OR account_id = %(account_id)s)"
EVENT_OF_ACCOUNT = OF_ACCOUNT.replace("account_id =", "event.account_id =")
OF_DAY = "{column} >= %(since)s AND {column} < %(until)s"

LOG_OF_DAY = f"""
fact AS MATERIALIZED (
    {FACT_SQL} WHERE {OF_DAY.format(column="timestamp")} AND {EVENT_OF_ACCOUNT} AND {ROLLED_UP}
)
"""

# Not materialised: the log is too large to be copied, and cheaper to read once more. Sessions that
# began before the log does cannot be put together from it.
LOG = f"""
fact AS NOT MATERIALIZED (
    {FACT_SQL}
    WHERE timestamp >= %(log_from)s AND {EVENT_OF_ACCOUNT} AND {ROLLED_UP} AND NOT EXISTS (
        SELECT FROM events_session AS older
        WHERE older.account_id = event.account_id AND older.session_id = event.session_id
          AND older.started_at < %(log_from)s
    )
)
"""
WHOLE_TABLES = {
    "events_session": f"{OF_ACCOUNT} AND started_at >= %(log_from)s",
    "events_sessionstart": f"{OF_ACCOUNT} AND bucket >= %(log_from)s AND sessions <> 0",
    "events_entityspend": OF_ACCOUNT,
}
"""What knows no day, and the rows of each that the log can tell."""

SESSION_STARTS_SQL = f"""
SELECT account_id, {Grain.DAY.bucket("started_at")} AS bucket, entity_id,
       count(*) AS sessions, sum(turns) AS turns, sum(cost) AS cost,
       sum(unpriced_events) AS unpriced_events
FROM turn GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row in which a table and the log disagree; None where one of them has no such row."""

    table: str
    kept: dict[str, Any] | None
    log: dict[str, Any] | None


def days_of_log(account_id: int | None) -> list[date]:
    """The UTC days from the first to the last that the log or a rollup knows; none if neither.

    Where retention has cut the log, from there on.
    """
    kept = f"SELECT min(bucket) AS first, max(bucket) AS last FROM {ROLLUPS[0].table}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT min(first), max(last) FROM (
                SELECT min(timestamp) AS first, max(timestamp) AS last
                FROM events_event WHERE {OF_ACCOUNT} UNION ALL {kept} WHERE {OF_ACCOUNT}
            ) AS known
            """,
            _parameters(account_id),
        )
        first, last = cursor.fetchone()
    if first is None:
        return []
    begins = max(first, log_from() or first)
    start, end = begins.astimezone(UTC).date(), last.astimezone(UTC).date()
    return [start + number * DAY for number in range((end - start).days + 1)]


def day_differences(day: date, account_id: int | None) -> list[Difference]:
    """Where the rollups of a UTC day differ from the log."""
    compared = [
        _compared(rollup.table, rollup.key, facts_sql(rollup), _kept_of(rollup, _of_day()))
        for rollup in OF_DAYS
    ]
    compared += [
        _compared(rollup.table, rollup.key, _longer(rollup), _kept_of(rollup, _around_day(rollup)))
        for rollup in LONGER
    ]
    sql = f"WITH {LOG_OF_DAY} {' UNION ALL '.join(compared)}"
    return _differences(sql, _parameters(account_id, day))


def whole_differences(account_id: int | None) -> list[Difference]:
    """Where the sessions and the entities' spend, which know no day, differ from the log."""
    actual = {
        "events_session": (("account_id", "session_id"), _session_rows("turn", "true")),
        "events_sessionstart": (("account_id", "bucket", "entity_id"), SESSION_STARTS_SQL),
        "events_entityspend": (("account_id", "entity_id"), SPEND_SQL),
    }
    compared = " UNION ALL ".join(
        _compared(table, *actual[table], _kept(table)) for table in _whole_tables()
    )
    with_turn = f"WITH {LOG}, turn AS MATERIALIZED ({TURN_SQL})"
    return _differences(f"{with_turn} {compared}", _parameters(account_id))


def rebuild_day(day: date, account_id: int | None) -> None:
    """Make the rollups of a UTC day anew from the log; readers see the old or the new."""
    parameters = _parameters(account_id, day)
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        if parameters["since"] < (log_from() or EARLIEST):
            return  # dropped while we waited: only its rollups are left, and they stay
        for rollup in OF_DAYS:
            cursor.execute(f"DELETE FROM {rollup.table} WHERE {_of_day()}", parameters)
        cursor.execute(f"WITH {LOG_OF_DAY}, {roll_up_steps(OF_DAYS)} SELECT", parameters)
        for rollup in LONGER:
            cursor.execute(f"DELETE FROM {rollup.table} WHERE {_around_day(rollup)}", parameters)
            cursor.execute(upsert_sql(rollup, f"({_longer(rollup)}) AS added"), parameters)


def rebuild_whole(account_id: int | None) -> None:
    """Make the sessions and the entities' spend anew from the log, in one transaction."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        parameters = _parameters(account_id)  # under the lock: retention moves where the log begins
        for table in _whole_tables():
            cursor.execute(f"DELETE FROM {table} WHERE {WHOLE_TABLES[table]}", parameters)
        spend = (
            f"entity_spend AS ({ENTITY_SQL})," if "events_entityspend" in _whole_tables() else ""
        )
        cursor.execute(f"WITH {LOG}, {spend} {SESSION_STEPS} SELECT", parameters)


def _whole_tables() -> list[str]:
    """An entity's spend to date cannot be told from a log that was cut."""
    return [table for table in WHOLE_TABLES if table != "events_entityspend" or not log_from()]


def _kept(table: str) -> str:
    where = WHOLE_TABLES[table]
    if table == "events_session":
        return _session_rows(table, where)
    return f"SELECT * FROM {table} WHERE {where}"


def _of_day() -> str:
    return f"{OF_DAY.format(column='bucket')} AND {OF_ACCOUNT}"


def _kept_of(rollup: Rollup, where: str) -> str:
    return f"SELECT * FROM {rollup.table} WHERE {where}"


def _around_day(rollup: Rollup) -> str:
    """The buckets of a longer grain that the day lies in, and all that they are made of."""
    start = rollup.grain.bucket("%(since)s::timestamptz")
    end = f"{start} + interval '{rollup.grain.value} minutes'"
    return f"bucket >= {start} AND bucket < {end} AND {OF_ACCOUNT}"


def _longer(rollup: Rollup) -> str:
    """The rows of these buckets, by the rollup that they are made of, which is compared itself."""
    source = f"(SELECT * FROM events_rollup_{rollup.source} WHERE {_around_day(rollup)}) AS source"
    return added_sql(rollup, source)


def _session_rows(source: str, where: str) -> str:
    """Sessions with their calls in one order, so that they can be compared."""
    return f"""
        SELECT account_id, session_id, started_at, ended_at, first_id, entity_id, turns, cost,
               unpriced_events, tokens,
               (SELECT array_agg(DISTINCT ARRAY[model_id, tag_set_id])
                FROM unnest(models, tag_sets) AS call (model_id, tag_set_id)) AS calls
        FROM {source} WHERE {where}
    """


def _compared(table: str, key: tuple[str, ...], actual: str, kept: str) -> str:
    """The rows of `actual` and `kept` that differ or have no partner.

    Compared as jsonb: a sum of bigints is a numeric, and 1.50 there equals 1.5.
    """
    return f"""
        SELECT '{table}', to_jsonb(kept), to_jsonb(actual)
        FROM ({kept}) AS kept FULL JOIN ({actual}) AS actual USING ({", ".join(key)})
        WHERE to_jsonb(kept) IS DISTINCT FROM to_jsonb(actual)
    """


def _differences(sql: str, parameters: dict[str, Any]) -> list[Difference]:
    with snapshot(timeout=0), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [Difference(*row) for row in cursor.fetchall()]


def _parameters(account_id: int | None, day: date | None = None) -> dict[str, Any]:
    since = datetime.combine(day or date.min, time(), UTC)
    return {
        "account_id": account_id,
        "log_from": log_from() or EARLIEST,
        "since": since,
        "until": since + DAY,
    }
