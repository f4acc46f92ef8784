"""Sessions: the calls that share a session id, as one row each.

A session belongs to the period that its first event lies in; its totals are of the whole session.
A late event can move its start, so the sessions that the tail touches are put together first and
only then tested; all others are read as they were rolled up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from django.db import connection

from analytics.conditions import (
    Bind,
    call_conditions,
    entity_conditions,
    pending,
    run,
    within,
)
from analytics.planner import plan_from
from analytics.query import Query
from events.money import OneDecimal, one_decimal
from events.rollups import Grain, Rollup

STARTS = Rollup("session_start", Grain.DAY, ("entity_id",))
"""The grain of events_sessionstart: what began, by UTC day and entity."""

# What the tail says of its sessions. Not put in order, which takes most of the time: whose the
# first event is, is looked up where it is not plain.
TURN_SQL = """
SELECT session_id, min(timestamp) AS started_at, max(timestamp) AS ended_at,
       min(entity_id) AS entity_id, min(entity_id) <> max(entity_id) AS is_mixed,
       count(*) AS turns, coalesce(sum(cost), 0) AS cost,
       count(*) FILTER (WHERE cost IS NULL) AS unpriced_events,
       sum(input_tokens + output_tokens) AS tokens
"""
CALLS_SQL = ", array_agg(model_id) AS models, array_agg(tag_set_id) AS tag_sets"

TOUCHED_SQL = """
SELECT session_id,
       LEAST(kept.started_at, turn.started_at) AS started_at,
       GREATEST(kept.ended_at, turn.ended_at) AS ended_at,
       CASE WHEN kept.started_at < turn.started_at THEN kept.entity_id
            WHEN NOT is_mixed AND (kept.started_at = turn.started_at) IS NOT TRUE
            THEN turn.entity_id
            ELSE (
                SELECT first.entity_id FROM events_event AS first
                WHERE first.account_id = {account} AND first.session_id = turn.session_id
                  AND first.timestamp = turn.started_at
                ORDER BY first.id LIMIT 1
            ) END AS entity_id,
       turn.turns + coalesce(kept.turns, 0) AS turns,
       turn.cost + coalesce(kept.cost, 0) AS cost,
       turn.unpriced_events + coalesce(kept.unpriced_events, 0) AS unpriced_events,
       turn.tokens + coalesce(kept.tokens, 0) AS tokens,
       kept.started_at AS kept_started_at, kept.entity_id AS kept_entity_id,
       kept.turns AS kept_turns, kept.cost AS kept_cost,
       kept.unpriced_events AS kept_unpriced_events
"""
ALL_CALLS_SQL = ", turn.models || kept.models AS models, turn.tag_sets || kept.tag_sets AS tag_sets"

TAKEN_BACK_SQL = """
SELECT -1, -turns, -cost, -unpriced_events FROM (
    SELECT kept_started_at AS started_at, kept_entity_id AS entity_id, kept_turns AS turns,
           kept_cost AS cost, kept_unpriced_events AS unpriced_events
    FROM touched
) AS fact
"""

COLUMNS = "session_id, started_at, ended_at, entity_id, turns, cost, unpriced_events, tokens"
ROW = "session_id, entity_type, named.entity_id, started_at, ended_at, turns, cost, tokens::text"
ORDER = "started_at DESC, session_id"


class Session(NamedTuple):
    """One session; its entity is that of its first event, by (timestamp, id). Cost is USD."""

    session_id: str
    entity_type: str | None
    entity_id: str | None
    started_at: datetime
    ended_at: datetime
    turn_count: int
    total_cost: Decimal
    total_tokens: int


@dataclass(frozen=True)
class Summary:
    """Over every session that matched."""

    sessions: int
    turns: int
    cost: Decimal
    unpriced_events: int

    @property
    def avg_turns(self) -> OneDecimal | None:
        """One decimal, half up; None over no sessions."""
        return one_decimal(Decimal(self.turns) / self.sessions) if self.sessions else None

    @property
    def avg_cost(self) -> Decimal | None:
        """USD, four decimals, half up; None over no sessions."""
        if not self.sessions:
            return None
        return (self.cost / self.sessions).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def sessions(query: Query) -> Iterator[Session]:
    """The sessions that match, newest first, read as they are asked for."""
    bind = Bind()
    sql = f"""
        WITH {_touched(query, bind)}, {_found(query, bind)}
        SELECT {ROW} FROM found LEFT JOIN events_entity AS named ON named.id = found.entity_id
        ORDER BY {ORDER}
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, bind)
        for row in cursor:
            yield _session(row)


def page(query: Query) -> tuple[list[Session], Summary]:
    """The sessions that match, newest first, and what holds over all whatever the query's limit.

    One statement: the sessions of a long tail are put together once for both.
    """
    bind = Bind()
    sql = f"""
        WITH {_touched(query, bind)}, {_found(query, bind)}, part AS ({_parts(query, bind)}),
        total AS (
            SELECT sum(sessions)::text, sum(turns)::text, sum(cost), sum(unpriced_events)::text
            FROM part
        ), row AS (
            SELECT {ROW} FROM found LEFT JOIN events_entity AS named ON named.id = found.entity_id
        )
        SELECT total.*, row.* FROM total LEFT JOIN row ON true ORDER BY {ORDER}
    """
    rows = run(sql, bind)
    count, turns, cost, unpriced = rows[0][:4]
    summary = Summary(int(count or 0), int(turns or 0), cost or Decimal(0), int(unpriced or 0))
    return [_session(row[4:]) for row in rows if row[4] is not None], summary


def _session(row: tuple[Any, ...]) -> Session:
    # As text: of the tail they may exceed 2^63.
    return Session._make([*row[:-1], int(row[-1])])


def _touched(query: Query, bind: Bind) -> str:
    """Step `touched`: the whole of each session that has an event in the tail, and as it is kept.

    What is kept of them is looked up by an array, whatever the statistics say: a join read the
    whole table at times, and one look-up a session takes three times as long.
    """
    account = bind(query.account_id)
    tail = f"{pending(query.account_id, bind)} AND session_id IS NOT NULL"
    with_calls = query.filters.of_calls
    return f"""
        turn AS MATERIALIZED (
            {TURN_SQL} {CALLS_SQL if with_calls else ""}
            FROM events_event AS fact WHERE {tail} GROUP BY session_id
        ),
        kept AS MATERIALIZED (
            SELECT * FROM events_session
            WHERE account_id = {account} AND session_id = ANY(ARRAY(SELECT session_id FROM turn))
        ),
        touched AS MATERIALIZED (
            {TOUCHED_SQL.format(account=account)} {ALL_CALLS_SQL if with_calls else ""}
            FROM turn LEFT JOIN kept USING (session_id)
        )
    """


def _found(query: Query, bind: Bind) -> str:
    """Step `found`: the page of sessions that match."""
    until = bind(None if query.limit is None else query.offset + query.limit)
    return f"""
        found AS MATERIALIZED (
            SELECT {COLUMNS} FROM touched AS fact WHERE {_matches(query, bind)}
            UNION ALL
            (SELECT {COLUMNS} FROM events_session AS fact
             WHERE {_rolled_up(query, bind)} AND {_matches(query, bind)}
             -- No session beyond the page can be on it, so the index gives just that many.
             ORDER BY {ORDER} LIMIT {until})
            ORDER BY {ORDER} LIMIT {bind(query.limit)} OFFSET {bind(query.offset)}
        )
    """


def _parts(query: Query, bind: Bind) -> str:
    """What adds up to the summary: the sessions of the tail, and those that it does not touch."""
    rolled_up = _all_rolled_up if query.filters.of_calls else _starts
    return f"""
        SELECT 1 AS sessions, turns, cost, unpriced_events
        FROM touched AS fact WHERE {_matches(query, bind)}
        UNION ALL {rolled_up(query, bind)}
    """


def _rolled_up(query: Query, bind: Bind) -> str:
    """The condition on events_session for the sessions that the tail does not touch."""
    return (
        f"fact.account_id = {bind(query.account_id)}"
        # Not EXISTS: as a join that reads all sessions of the period before it gives the first.
        " AND fact.session_id NOT IN (SELECT session_id FROM turn)"
    )


def _matches(query: Query, bind: Bind) -> str:
    """The condition on a session: begins in the period, has the entity, has such a call."""
    conditions = [
        within("fact.started_at", [(query.period.since, query.period.until)], bind),
        *entity_conditions(query.account_id, query.filters, bind),
    ]
    if calls := call_conditions(query.account_id, query.filters, bind):
        conditions.append(
            "EXISTS (SELECT FROM unnest(fact.models, fact.tag_sets) AS call (model_id, tag_set_id)"
            f" WHERE {' AND '.join(calls).replace('fact.', 'call.')})"
        )
    return " AND ".join(conditions)


def _all_rolled_up(query: Query, bind: Bind) -> str:
    """Every session one by one: what calls it had is known of sessions alone."""
    return f"""
        SELECT 1, turns, cost, unpriced_events FROM events_session AS fact
        WHERE {_rolled_up(query, bind)} AND {_matches(query, bind)}
    """


def _starts(query: Query, bind: Bind) -> str:
    """Whole days from events_sessionstart, their edges from sessions, less what is touched."""
    account = f"fact.account_id = {bind(query.account_id)}"
    entity = entity_conditions(query.account_id, query.filters, bind)
    selects = [f"{TAKEN_BACK_SQL} WHERE {_matches(query, bind)}"]
    for part in plan_from([STARTS], [query.period.since, query.period.until]):
        table, time, sessions = (
            ("events_sessionstart", "fact.bucket", "sessions")
            if part.source
            else ("events_session", "fact.started_at", "1")
        )
        where = " AND ".join([account, within(time, part.spans, bind), *entity])
        selects.append(
            f"SELECT {sessions}, turns, cost, unpriced_events FROM {table} AS fact WHERE {where}"
        )
    return " UNION ALL ".join(selects)
