"""Anomalies as the rows of an answer."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from analytics.anomalies.contributors import Side, contributors, told
from analytics.models import Anomaly, AnomalyType
from analytics.periods import Period
from analytics.query import Query
from analytics.sql import totals

Row = dict[str, Any]

ANOMALY_KEYS = [
    "id",
    "detected_at",
    "entity_type",
    "entity_id",
    "type",
    "severity",
    "description",
    "expected_value",
    "actual_value",
    "status",
    "date",
    "contributors",
    "status_changed_at",
    "status_changed_by",
]


def anomaly_rows(account_id: int, asked: Row) -> Iterator[Row]:
    """Anomalies by the day concerned, newest first. The days are UTC days."""
    fields = {
        "entity_type": "entity__entity_type",
        "entity_id": "entity__entity_id",
        "status": "status",
        "type": "type",
    }
    wanted = {field: asked[name] for name, field in fields.items() if name in asked}
    period = asked["period"]
    found = Anomaly.objects.filter(
        account_id=account_id, date__range=(period.start, period.end), **wanted
    )
    newest = found.select_related("entity").order_by("-date", "-detected_at", "-pk")
    return map(anomaly_row, newest)


def anomaly_row(anomaly: Anomaly) -> Row:
    """The keys of ANOMALY_KEYS. `anomaly` must have its entity joined."""
    entity = anomaly.entity
    values = (
        anomaly.public_id,
        anomaly.detected_at,
        entity and entity.entity_type,
        entity and entity.entity_id,
        anomaly.type,
        anomaly.severity,
        anomaly.description,
        anomaly.expected_value,
        anomaly.actual_value,
        anomaly.status,
        anomaly.date,
        dict(told(anomaly.contributors, anomaly.actual_value - anomaly.expected_value)),
        anomaly.status_changed_at,
        anomaly.status_changed_by or None,
    )
    return dict(zip(ANOMALY_KEYS, values, strict=True))


def explanation(query: Query, period1: Period, period2: Period) -> Row:
    """What the change of cost from the second period to the first is made of."""
    now, base = (replace(query, period=period) for period in (period1, period2))
    cost1, cost2 = totals(now).cost, totals(base).cost
    found = contributors(Side(now, cost1), Side(base, cost2), AnomalyType.COST_SPIKE)
    return {"contributors": dict(told(found, cost1 - cost2))}
