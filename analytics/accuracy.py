"""`/v1/analytics/costs/accuracy`: does our meter agree with the bill?

By model: what was reported and what we compute, of the events that have both; and what has no
price at all. Whole UTC days are read from a rollup, the edges and the tail from the log.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from analytics import answers, params
from analytics.conditions import Bind, call_conditions, entity_conditions, pending, run, within
from analytics.facts import columns_used, refuse_before_log
from analytics.planner import Part, merged, plan_from
from analytics.query import Query
from analytics.views import AnalyticsView
from apikeys.params import Checked
from events.measures import ACCURACY
from events.money import percent
from events.rollups import DAY_ACCURACY

ROW_KEYS = [
    "model",
    "provider",
    "reported_events",
    "compared_events",
    "reported_cost",
    "computed_cost",
    "drift",
    "drift_percent",
    "unpriced_events",
    "unpriced_tokens",
]


class Accuracy(NamedTuple):
    """The measures of a model, or of all, in the order of ACCURACY. Costs are USD."""

    reported_events: int
    compared_events: int
    unpriced_events: int
    unpriced_tokens: int
    reported_cost: Decimal
    computed_cost: Decimal

    @property
    def row(self) -> answers.Row:
        """As keys of an answer; the drift is what we compute less what was reported."""
        drift = self.computed_cost - self.reported_cost
        return {
            "reported_events": self.reported_events,
            "compared_events": self.compared_events,
            "reported_cost": self.reported_cost,
            "computed_cost": self.computed_cost,
            "drift": drift,
            "drift_percent": percent(drift, self.reported_cost),
            "unpriced_events": self.unpriced_events,
            "unpriced_tokens": self.unpriced_tokens,
        }


class AccuracyView(AnalyticsView):
    """Reported against computed costs, by model."""

    name = "accuracy"
    params = params.ModelsParams

    def columns(self, asked: Checked) -> list[str]:
        return ROW_KEYS

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        for model, provider, measures in by_model(self.query(asked)):
            yield {"model": model, "provider": provider} | measures.row

    def body(self, asked: Checked) -> answers.Row:
        query = self.query(asked)
        period = {"start": query.period.start, "end": query.period.end}
        return super().body(asked) | {"summary": total(query).row | {"period": period}}


def by_model(query: Query) -> Iterator[tuple[str, str, Accuracy]]:
    """Every model of which anything is reported or unpriced, the largest drift first."""
    bind = Bind()
    drift = "abs(sum(grouped.computed_cost) - sum(grouped.reported_cost))"
    sql = f"""
        WITH grouped AS ({_parts(query, bind)})
        SELECT model.model, model.provider, {_sums()}
        FROM grouped JOIN events_llmmodel AS model ON model.id = grouped.model_id
        GROUP BY 1, 2
        HAVING sum(grouped.reported_events) + sum(grouped.unpriced_events) > 0
        ORDER BY {drift} DESC, sum(grouped.unpriced_events) DESC, 1, 2
    """
    for model, provider, *measures in run(sql, bind):
        yield model, provider, _accuracy(measures)


def total(query: Query) -> Accuracy:
    """Of all models."""
    bind = Bind()
    return _accuracy(run(f"SELECT {_sums()} FROM ({_parts(query, bind)}) AS grouped", bind)[0])


def _parts(query: Query, bind: Bind) -> str:
    sources = [DAY_ACCURACY] if DAY_ACCURACY.covers(columns_used(query, ())) else []
    parts = plan_from(sources, [query.period.since, query.period.until])
    refuse_before_log(parts)
    selects = [_part(query, part, bind) for part in parts]
    if spans := merged([span for part in parts if part.source for span in part.spans]):
        tail = f"{pending(query.account_id, bind)} AND {within('fact.timestamp', spans, bind)}"
        selects.append(_of_log(query, tail, bind))
    return " UNION ALL ".join(selects or [_of_log(query, "false", bind)])


def _part(query: Query, part: Part, bind: Bind) -> str:
    account = f"fact.account_id = {bind(query.account_id)}"
    if part.source is None:
        return _of_log(query, f"{account} AND {within('fact.timestamp', part.spans, bind)}", bind)
    conditions = [account, within("fact.bucket", part.spans, bind)]
    conditions += call_conditions(query.account_id, query.filters, bind)
    columns = ", ".join(f"fact.{name}" for name in ACCURACY)
    return f"""
        SELECT fact.model_id, {columns}
        FROM {part.source.table} AS fact WHERE {" AND ".join(conditions)}
    """


def _of_log(query: Query, where: str, bind: Bind) -> str:
    conditions = [f"fact.{DAY_ACCURACY.where}", where]
    conditions += call_conditions(query.account_id, query.filters, bind)
    conditions += entity_conditions(query.account_id, query.filters, bind)
    measures = ", ".join(f"coalesce(sum({sql}), 0) AS {name}" for name, sql in ACCURACY.items())
    return f"""
        SELECT fact.model_id, {measures}
        FROM events_event AS fact WHERE {" AND ".join(conditions)} GROUP BY fact.model_id
    """


def _sums() -> str:
    return ", ".join(f"coalesce(sum(grouped.{name}), 0)" for name in ACCURACY)


def _accuracy(row: Any) -> Accuracy:
    *counts, reported, computed = row
    return Accuracy._make((*map(int, counts), reported, computed))
