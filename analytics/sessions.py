"""Sessions: the calls that share a session id, as one row each.

A session belongs to the period that its first event lies in; its totals are of the whole session.
A late event can move its start, so the sessions that the tail touches are put together first and
only then tested; all others are read as they were rolled up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

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
from events.session_rollup import TURN_COLUMNS

STARTS = Rollup("session_start", Grain.DAY, ("entity_id",))
"""The grain of events_sessionstart: what began, by UTC day and entity."""

TOUCHED_SQL = """
SELECT turn.session_id,
       LEAST(kept.started_at, turn.started_at) AS started_at,
       GREATEST(kept.ended_at, turn.ended_at) AS ended_at,
       CASE WHEN (kept.started_at, kept.first_id) < (turn.started_at, turn.first_id)
            THEN kept.entity_id ELSE turn.entity_id END AS entity_id,
       turn.turns + coalesce(kept.turns, 0) AS turns,
       turn.cost + coalesce(kept.cost, 0) AS cost,
       turn.unpriced_events + coalesce(kept.unpriced_events, 0) AS unpriced_events,
       turn.tokens + coalesce(kept.tokens, 0) AS tokens,
       turn.models || kept.models AS models,
       turn.tag_sets || kept.tag_sets AS tag_sets,
       kept.started_at AS kept_started_at, kept.entity_id AS kept_entity_id,
       kept.turns AS kept_turns, kept.cost AS kept_cost,
       kept.unpriced_events AS kept_unpriced_events
"""

TAKEN_BACK_SQL = """
SELECT -1, -turns, -cost, -unpriced_events FROM (
    SELECT kept_started_at AS started_at, kept_entity_id AS entity_id, kept_turns AS turns,
           kept_cost AS cost, kept_unpriced_events AS unpriced_events
    FROM touched
) AS fact
"""

COLUMNS = "session_id, started_at, ended_at, entity_id, turns, cost, unpriced_events, tokens"
TOTALS = "sum(sessions), sum(turns), sum(cost), sum(unpriced_events)"


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
    page = bind(None if query.limit is None else query.offset + query.limit)
    sql = f"""
        {_touched(query, bind)}, matching AS (
            SELECT {COLUMNS} FROM touched AS fact WHERE {_matches(query, bind)}
            UNION ALL
            (SELECT {COLUMNS} FROM events_session AS fact
             WHERE {_rolled_up(query, bind)} AND {_matches(query, bind)}
             -- No session beyond the page can be on it, so the index gives just that many.
             ORDER BY started_at DESC, session_id LIMIT {page})
        )
        SELECT session_id, entity.entity_type, entity.entity_id, started_at, ended_at, turns,
               cost, tokens::bigint
        FROM matching LEFT JOIN events_entity AS entity ON entity.id = matching.entity_id
        ORDER BY started_at DESC, session_id LIMIT {bind(query.limit)} OFFSET {bind(query.offset)}
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, bind)
        for row in cursor:
            yield Session._make(row)


def summary(query: Query) -> Summary:
    """What holds over all matching sessions, whatever the query's limit."""
    bind = Bind()
    rolled_up = _all_rolled_up if query.filters.of_calls else _starts
    sql = f"""
        {_touched(query, bind)}, part AS (
            SELECT 1 AS sessions, turns, cost, unpriced_events
            FROM touched AS fact WHERE {_matches(query, bind)}
            UNION ALL {rolled_up(query, bind)}
        )
        SELECT {TOTALS} FROM part
    """
    ((found, turns, cost, unpriced),) = run(sql, bind)
    return Summary(int(found or 0), int(turns or 0), cost or Decimal(0), int(unpriced or 0))


def _touched(query: Query, bind: Bind) -> str:
    """`WITH touched`: the whole of each session that has an event in the tail, and as it is kept.

    Joined to the table, whose key gives each session at once; two steps joined to each other could
    become a nested loop of all by all.
    """
    tail = f"{pending(query.account_id, bind)} AND session_id IS NOT NULL"
    kept = f"kept.account_id = {bind(query.account_id)} AND kept.session_id = turn.session_id"
    return f"""
        WITH turn AS MATERIALIZED (
            SELECT {TURN_COLUMNS} FROM events_event AS fact WHERE {tail} GROUP BY session_id
        ),
        touched AS MATERIALIZED (
            {TOUCHED_SQL} FROM turn LEFT JOIN events_session AS kept ON {kept}
        )
    """


def _rolled_up(query: Query, bind: Bind) -> str:
    """The condition on events_session for the sessions that the tail does not touch."""
    return (
        f"fact.account_id = {bind(query.account_id)}"
        " AND NOT EXISTS (SELECT FROM turn WHERE turn.session_id = fact.session_id)"
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
