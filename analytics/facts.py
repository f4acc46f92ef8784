"""Where facts are read: the parts of a plan and the tail, as rows of the same columns.

The SQL of one part is a SELECT of ids and measures, one row for each fact: a row of a rollup or an
event of the log. Nothing is added up here.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from analytics.conditions import (
    Bind,
    call_conditions,
    entity_conditions,
    instants,
    pending,
    row_condition,
    same,
    within,
)
from analytics.periods import INTERVALS, Buckets
from analytics.planner import Part, merged
from analytics.query import TAG_PREFIX, Query
from apikeys.params import fault
from apikeys.problems import Problem
from events.measures import MEASURES
from events.models import NONE
from events.retention import log_from
from events.rollups import Rollup

log = logging.getLogger(__name__)


class BeyondRetention(Problem):
    """A question to a part of the log that retention has dropped."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail, errors=[fault("start_date", "beyond_retention", detail)])


IDS = {
    "entity": "entity_id",
    "entity_name": "entity_id",
    "entity_type": "entity_type",
    "provider": "model_id",
    "model": "model_id",
    "entity_row": "entity_id",
    "tag_set": "tag_set_id",
    "session": "session_id",
}
"""The columns of the dimensions that are neither time nor a tag."""


@dataclass(frozen=True)
class _Facts:
    """How one table of facts, aliased `fact`, is read: a rollup or the log."""

    table: str
    time: str
    measures: dict[str, str]
    has_entity_type: bool


LOG = _Facts("events_event", "fact.timestamp", MEASURES, has_entity_type=False)


def _rolled(rollup: Rollup) -> _Facts:
    measures = {name: f"fact.{name}" for name in MEASURES}
    return _Facts(rollup.table, "fact.bucket", measures, "entity_type" in rollup.dimensions)


def columns_used(query: Query, dimensions: Iterable[str]) -> frozenset[str]:
    """The dimension columns that a source must have to answer the query by `dimensions`."""
    filters = query.filters
    wanted = {
        "entity_type": filters.entity_type is not None or query.attributed,
        "entity_id": filters.entity_id is not None or query.entities is not None,
        "model_id": filters.model is not None or filters.provider is not None,
        "tag_set_id": bool(filters.tags),
    }
    grouped = {id_column(dimension) for dimension in dimensions} - {"bucket"}
    return frozenset(grouped | {column for column, used in wanted.items() if used})


def id_column(dimension: str) -> str:
    """The column of facts that a dimension is grouped by first."""
    if dimension in INTERVALS:
        return "bucket"
    return "tag_set_id" if dimension.startswith(TAG_PREFIX) else IDS[dimension]


def parts_sql(
    query: Query, parts: list[Part], columns: list[str], time: Buckets | None, bind: Bind
) -> str:
    """The facts of the parts of the plan, and of the tail."""
    refuse_before_log(parts)
    log.debug("%s", [(part.source.name if part.source else "log", part.spans) for part in parts])
    selects = []
    for part in parts:
        facts = _rolled(part.source) if part.source else LOG
        account = f"fact.account_id = {bind(query.account_id)}"
        where = f"{account} AND {within(facts.time, part.spans, bind)}"
        selects.append(_part_sql(query, facts, where, columns, time, bind))
    if spans := merged([span for part in parts if part.source for span in part.spans]):
        where = f"{pending(query.account_id, bind)} AND {within(LOG.time, spans, bind)}"
        selects.append(_part_sql(query, LOG, where, columns, time, bind))
    # A period may be empty: in Apia there was no 30 December 2011.
    nothing = _part_sql(query, LOG, "false", columns, time, bind)
    return " UNION ALL ".join(selects or [nothing])


def refuse_before_log(parts: list[Part]) -> None:
    """Raises BeyondRetention if the plan needs a part of the log that retention has dropped.

    It cannot be dropping one now: the snapshot holds the log.
    """
    oldest = min((part.spans[0][0] for part in parts if part.source is None), default=None)
    if oldest is None:
        return
    begins = log_from()
    if begins is not None and oldest < begins:
        detail = f"This question needs single events, which are kept from {begins:%Y-%m-%d} on."
        raise BeyondRetention(detail)


def _part_sql(
    query: Query, facts: _Facts, where: str, columns: list[str], time: Buckets | None, bind: Bind
) -> str:
    ids = [f"{_id_sql(column, facts, time, bind)} AS {column}" for column in columns]
    measures = [f"{facts.measures[name]} AS {name}" for name in query.measures]
    join = ""
    if "entity_type" in columns and not facts.has_entity_type:
        join = "LEFT JOIN events_entity AS of_entity ON of_entity.id = fact.entity_id"
    conditions = " AND ".join([where, *_conditions(query, facts, bind)])
    columns_sql = ", ".join([*ids, *measures])
    return f"SELECT {columns_sql} FROM {facts.table} AS fact {join} WHERE {conditions}"


def _conditions(query: Query, facts: _Facts, bind: Bind) -> list[str]:
    filters = query.filters
    conditions = call_conditions(query.account_id, filters, bind)
    if query.entities is not None:
        conditions.append(row_condition(query.entities, bind))
    if not facts.has_entity_type:
        conditions += entity_conditions(query.account_id, filters, bind)
        return [*conditions, f"fact.entity_id <> {NONE}"] if query.attributed else conditions
    if filters.entity_type is not None:
        conditions.append(same("fact.entity_type", filters.entity_type, bind))
    return [*conditions, "fact.entity_type <> ''"] if query.attributed else conditions


def _id_sql(column: str, facts: _Facts, time: Buckets | None, bind: Bind) -> str:
    if column == "bucket":
        assert time is not None
        return f"width_bucket({facts.time}, {bind(instants(time.edges))}::timestamptz[])"
    if column == "entity_type" and not facts.has_entity_type:
        return "coalesce(of_entity.entity_type, '')"
    return f"fact.{column}"
