"""The SQL of repricing: events that get another cost, and all that was rolled up with them.

The only module that updates events. `repriced` is a temporary table of the events concerned, with
what they were and what they become.
"""

from typing import Any

from django.db import connection

from events.rollups import DAY_ACCURACY, ROLLUPS, Grain, Rollup, facts_sql, upsert_sql

COSTS = ("cost", "cost_source", "rate_set_id", "computed_cost")
"""What repricing changes of an event."""

CREATE_SQL = """
DROP TABLE IF EXISTS repriced;
CREATE TEMPORARY TABLE repriced (
    timestamp timestamptz, batch_id bigint, tag_set_id bigint, tokens bigint,
    account_id integer, entity_id integer, model_id integer,
    old_cost numeric, old_cost_source smallint, old_rate_set_id integer, old_computed_cost numeric,
    cost numeric, cost_source smallint, rate_set_id integer, computed_cost numeric,
    id text COLLATE "C", session_id text COLLATE "C"
);
"""

COPY_SQL = "COPY repriced FROM STDIN"

CHANGES_SQL = """
SELECT model.provider, model.model, count(*), coalesce(sum(old_cost), 0), coalesce(sum(cost), 0),
       count(*) FILTER (WHERE old_cost IS NULL), count(*) FILTER (WHERE cost IS NULL)
FROM repriced JOIN events_llmmodel AS model ON model.id = repriced.model_id
GROUP BY 1, 2 ORDER BY 1, 2
"""

SAVE_SQL = f"""
INSERT INTO events_repricedevent (run_id, account_id, timestamp, event_id, {", ".join(COSTS)})
SELECT %s, account_id, timestamp, id, {", ".join(f"old_{name}" for name in COSTS)} FROM repriced
"""

# Back to what was saved, from what they are now.
RESTORE_SQL = f"""
INSERT INTO repriced
SELECT event.timestamp, batch_id, tag_set_id, input_tokens + output_tokens,
       event.account_id, entity_id, model_id,
       {", ".join(f"event.{name}" for name in COSTS)},
       {", ".join(f"saved.{name}" for name in COSTS)},
       event.id, session_id
FROM events_repricedevent AS saved JOIN events_event AS event
  ON event.account_id = saved.account_id AND event.timestamp = saved.timestamp
 AND event.id = saved.event_id
WHERE saved.run_id = %(run)s AND event.timestamp BETWEEN %(first)s AND %(last)s
"""

LATER_SQL = """
SELECT min(later.run_id) FROM events_repricedevent AS mine JOIN events_repricedevent AS later
    USING (account_id, timestamp, event_id)
WHERE mine.run_id = %(run)s AND later.run_id > %(run)s
HAVING count(*) > 0
"""

SPAN_SQL = "SELECT count(*), min(timestamp), max(timestamp) FROM repriced"

# Bounded by time, so that other partitions are left out; and only what is still as it was found.
UPDATE_SQL = f"""
UPDATE events_event AS event SET {", ".join(f"{name} = repriced.{name}" for name in COSTS)}
FROM repriced
WHERE event.timestamp BETWEEN %s AND %s
  AND event.account_id = repriced.account_id AND event.timestamp = repriced.timestamp
  AND event.id = repriced.id
  AND ({", ".join(f"event.{name}" for name in COSTS)})
      IS NOT DISTINCT FROM ({", ".join(f"old_{name}" for name in COSTS)})
"""

# Of the events that were rolled up; the others are in the tail, which is read from the log.
MOVED_SQL = """
CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
SELECT repriced.*, coalesce(entity.entity_type, '') AS entity_type,
       coalesce(cost, 0) - coalesce(old_cost, 0) AS added_cost,
       (cost IS NULL)::integer - (old_cost IS NULL)::integer AS added_unpriced
FROM repriced LEFT JOIN events_entity AS entity ON entity.id = repriced.entity_id
WHERE batch_id <> ALL(ARRAY(SELECT id FROM events_pendingbatch))
"""

ADDED = "sum(added_cost) AS cost, sum(added_unpriced) AS unpriced_events"
ADD = (
    "cost = kept.cost + added.cost, unpriced_events = kept.unpriced_events + added.unpriced_events"
)

SESSIONS_SQL = f"""
UPDATE events_session AS kept SET {ADD}
FROM (SELECT account_id, session_id, {ADDED} FROM moved GROUP BY 1, 2) AS added
WHERE kept.account_id = added.account_id AND kept.session_id = added.session_id
"""

STARTS_SQL = f"""
UPDATE events_sessionstart AS kept SET {ADD}
FROM (
    SELECT session.account_id, {Grain.DAY.bucket("session.started_at")} AS bucket,
           session.entity_id, {ADDED}
    FROM moved JOIN events_session AS session
      ON session.account_id = moved.account_id AND session.session_id = moved.session_id
    GROUP BY 1, 2, 3
) AS added
WHERE kept.account_id = added.account_id AND kept.bucket = added.bucket
  AND kept.entity_id = added.entity_id
"""

SPEND_SQL = """
UPDATE events_entityspend AS kept SET cost = kept.cost + added.cost
FROM (SELECT account_id, entity_id, sum(added_cost) AS cost FROM moved GROUP BY 1, 2) AS added
WHERE kept.account_id = added.account_id AND kept.entity_id = added.entity_id
"""


def update_events(first: Any, last: Any) -> int:
    """Give the events of `repriced` their new costs; how many were still as they were found."""
    with connection.cursor() as cursor:
        cursor.execute(UPDATE_SQL, [first, last])
        return int(cursor.rowcount)


def move_rollups() -> None:
    """Take what the events of `repriced` cost out of all that is rolled up, and their costs in."""
    accuracy, emptied = _accuracy_sql()
    with connection.cursor() as cursor:
        cursor.execute(MOVED_SQL)
        cursor.execute("ANALYZE moved")
        for rollup in ROLLUPS:
            cursor.execute(_rollup_sql(rollup))
        for sql in (accuracy, emptied, SESSIONS_SQL, STARTS_SQL, SPEND_SQL):
            cursor.execute(sql)


def _rollup_sql(rollup: Rollup) -> str:
    bucket = f"{rollup.grain.bucket('timestamp')} AS bucket"
    columns = ", ".join(["account_id", bucket, *rollup.dimensions])
    positions = ", ".join(str(n + 1) for n in range(len(rollup.key)))
    same = " AND ".join(f"kept.{name} = added.{name}" for name in rollup.key)
    return f"""
        UPDATE {rollup.table} AS kept SET {ADD}
        FROM (SELECT {columns}, {ADDED} FROM moved GROUP BY {positions}) AS added
        WHERE {same}
    """


def _accuracy_sql() -> tuple[str, str]:
    """What they are less what they were, added; and the rows gone in which nothing is left."""
    key = ", ".join(DAY_ACCURACY.key)
    sums = ", ".join(f"sum({name}) AS {name}" for name in DAY_ACCURACY.measures)
    less = ", ".join(f"-{name}" for name in DAY_ACCURACY.measures)
    added = f"""(
        SELECT {key}, {sums} FROM (
            SELECT * FROM ({_facts_of("")}) AS after
            UNION ALL SELECT {key}, {less} FROM ({_facts_of("old_")}) AS before
        ) AS signed GROUP BY {key}
    ) AS added"""
    nothing = " AND ".join(f"{name} = 0" for name in DAY_ACCURACY.measures)
    return upsert_sql(DAY_ACCURACY, added), f"DELETE FROM {DAY_ACCURACY.table} WHERE {nothing}"


def _facts_of(prefix: str) -> str:
    return f"""
        WITH fact AS (
            SELECT account_id, timestamp, model_id, tokens AS input_tokens, 0 AS output_tokens,
                   {", ".join(f"{prefix}{name} AS {name}" for name in COSTS)}
            FROM moved
        ) {facts_sql(DAY_ACCURACY)}
    """
