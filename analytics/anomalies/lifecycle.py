"""What becomes of findings: one anomaly per entity, type and day, whoever finds it how often."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from analytics.anomalies.contributors import Contributors
from analytics.models import Anomaly, AnomalyStatus, AnomalyType, Severity

Key = tuple[int | None, AnomalyType]
"""An entity's row id, None for the whole account; and the type."""

FOUND_ANEW = ["severity", "description", "expected_value", "actual_value", "contributors"]
"""What a later look at the same day changes. Not when it was detected, and not its status."""


@dataclass(frozen=True, slots=True)
class Found:
    """An anomaly as a pass found it."""

    entity: int | None
    type: AnomalyType
    severity: Severity
    description: str
    expected: Decimal
    actual: Decimal
    contributors: Contributors

    @property
    def key(self) -> Key:
        return self.entity, self.type


@dataclass(frozen=True, slots=True)
class Pass:
    """One look at one UTC day of an account."""

    account_id: int
    day: date
    is_over: bool
    found: tuple[Found, ...]
    standing: Collection[Key]
    """All that is abnormal on the day, also what is not news."""


def record(done: Pass, detected_at: datetime, now: datetime) -> None:
    """Keep what a pass found, and resolve what it no longer finds.

    Two workers that found the same meet at the unique grain: the second updates the first's row.
    """
    with transaction.atomic(durable=True):
        Anomaly.objects.bulk_create(
            [_row(done, found, detected_at) for found in done.found],
            update_conflicts=True,
            unique_fields=["account", "entity", "type", "date"],
            update_fields=FOUND_ANEW,
        )
        _follow(done, now)


def _row(done: Pass, found: Found, detected_at: datetime) -> Anomaly:
    return Anomaly(
        account_id=done.account_id,
        entity_id=found.entity,
        type=found.type,
        date=done.day,
        detected_at=detected_at,
        severity=found.severity,
        description=found.description,
        expected_value=found.expected,
        actual_value=found.actual,
        contributors=found.contributors,
    )


def _follow(done: Pass, now: datetime) -> None:
    """Resolve what has returned by `done.day`, and take that back where it was said too early.

    A day that is not over says nothing about the days before it: its morning is always low.
    """
    ours = Anomaly.objects.filter(account_id=done.account_id, status_changed_by="")
    days = Q(date__lte=done.day) if done.is_over else Q(date=done.day)
    active = ours.filter(days, status=AnomalyStatus.ACTIVE)
    returned = ours.filter(days, status=AnomalyStatus.RESOLVED, returned_on=done.day)
    news = {found.key for found in done.found}
    over = [anomaly.pk for anomaly in active if not _is_on(anomaly, done, news)]
    again = [anomaly.pk for anomaly in returned if _is_on(anomaly, done, news)]
    ours.filter(pk__in=over).update(
        status=AnomalyStatus.RESOLVED, returned_on=done.day, status_changed_at=now
    )
    ours.filter(pk__in=again).update(
        status=AnomalyStatus.ACTIVE, returned_on=None, status_changed_at=now
    )


def _is_on(anomaly: Anomaly, done: Pass, news: Iterable[Key]) -> bool:
    """Whether an anomaly is still going on: one of the day itself only if it was found again."""
    key = anomaly.entity_id, AnomalyType(anomaly.type)
    return key in (news if anomaly.date == done.day else done.standing)
