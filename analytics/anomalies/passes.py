"""Passes: read, judge, explain, record. A day that is over is judged whole, today as it runs."""

import logging
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from django.conf import settings
from django.db import connection

from analytics.anomalies import reading, wording
from analytics.anomalies.baseline import HISTORY, WEEK
from analytics.anomalies.contributors import Side, contributors
from analytics.anomalies.lifecycle import Found, Key, Pass, record
from analytics.anomalies.scene import Scene, Suspect
from analytics.models import JudgedDay
from analytics.params import UTC_ZONE
from analytics.periods import Period
from analytics.query import Query
from analytics.sql import groups, totals
from apikeys.models import Account
from events.days import DAY, day_start
from events.snapshot import snapshot

log = logging.getLogger(__name__)

LOCK = 0x_C057_06
"""With an account's id: one pass at a time looks at an account."""
REJUDGED = 7
"""Days for which the worker looks whether they have changed since they were judged."""


def run(now: datetime) -> None:
    """The worker's job: every account's running day, and its last days where they have changed."""
    for account_id in Account.objects.order_by("pk").values_list("pk", flat=True):
        try:
            detect(account_id, now)
        except Exception:
            log.exception("The anomalies of account %s could not be looked for", account_id)


def detect(account_id: int, now: datetime) -> None:
    """What the worker does for one account."""
    today = now.astimezone(UTC).date()
    for day in _changed_days(account_id, today):
        moment = now if day == today - DAY else end_of(day)
        detect_day(account_id, day, now, detected_at=moment)
    detect_running(account_id, now)


def detect_day(account_id: int, day: date, now: datetime, detected_at: datetime) -> int:
    """Judge a UTC day that is over; returns how many anomalies it has.

    0 also while another pass looks at the account: it does the same.
    """
    scene = Scene(account_id, day, settings.ANOMALY_MINIMUM)
    with snapshot():
        if not _is_alone(account_id):
            return 0
        done = _look(scene)
        total = totals(_on(day, scene.query))
    record(done, detected_at, now)
    judged = {"events": total.events, "cost": total.cost}
    JudgedDay.objects.update_or_create(account_id=account_id, date=day, defaults=judged)
    return len(done.found)


def detect_running(account_id: int, now: datetime) -> int:
    """Judge the day that is not over at `now`, as far as it has come."""
    now = now.astimezone(UTC)
    with snapshot():
        if not _is_alone(account_id):
            return 0
        done = _look(Scene(account_id, now.date(), settings.ANOMALY_MINIMUM, now))
    record(done, now, now)
    return len(done.found)


def end_of(day: date) -> datetime:
    """The first instant after a UTC day."""
    return day_start(day + DAY, UTC_ZONE)


def _is_alone(account_id: int) -> bool:
    """Whether no other pass reads this account: the lock is held until the snapshot ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK, account_id])
        return bool(cursor.fetchone() == (True,))


def _changed_days(account_id: int, today: date) -> list[date]:
    """The last days that are over and were not judged as they are now, oldest first."""
    period = Period.of_days(today - REJUDGED * DAY, today - DAY, UTC_ZONE)
    with snapshot():
        query = Query(account_id=account_id, period=period, dimensions=("day",))
        now = {
            group.names["day"].day: (group.measures.events, group.measures.cost)
            for group in groups(query)
        }
        kept = JudgedDay.objects.filter(account_id=account_id, date__gte=period.start)
        then = {day.date: (day.events, day.cost) for day in kept}
        if not now and not then:
            return []
    days = [period.start + number * DAY for number in range(REJUDGED)]
    return [day for day in days if then.get(day) != now.get(day, (0, Decimal(0)))]


def _look(scene: Scene) -> Pass:
    suspects: list[Suspect] = []
    standing: set[Key] = set()
    for entity, verdict in scene.entities():
        suspects += [Suspect(entity, finding) for finding in verdict.findings]
        standing |= {(entity, kind) for kind in verdict.standing}
    suspects += [one for one in _of_account(scene) if not _is_explained(one, suspects)]
    standing |= {(None, kind) for kind in scene.whole_verdict.standing}
    found = tuple(_found(scene, suspect) for suspect in suspects)
    return Pass(scene.account_id, scene.day, scene.now is None, found, standing)


def _of_account(scene: Scene) -> list[Suspect]:
    verdict = scene.whole_verdict
    suspects = [Suspect(None, finding) for finding in verdict.findings]
    new = scene.new_model()
    has_risen = new and new.finding.type in verdict.standing
    return suspects if new is None or has_risen else [*suspects, new]


def _is_explained(of_account: Suspect, suspects: list[Suspect]) -> bool:
    """Whether entities of which the same is said make up half of it: once is enough."""
    theirs = (one.finding for one in suspects if one.finding.type == of_account.finding.type)
    return bool(sum(finding.stake for finding in theirs) * 2 >= of_account.finding.stake)


def _found(scene: Scene, suspect: Suspect) -> Found:
    finding = wording.rounded(suspect.finding)
    entities = None if suspect.entity is None else (suspect.entity,)
    query = replace(scene.query, entities=entities, filters=suspect.filters)
    return Found(
        entity=suspect.entity,
        type=finding.type,
        severity=wording.severity(finding, scene.minimum),
        description=wording.description(finding, scene.now),
        expected=finding.expected,
        actual=finding.actual,
        contributors=contributors(
            Side(_on(scene.day, query), finding.actual),
            Side(_before(scene.day, query), finding.expected),
            finding.type,
        ),
    )


def _on(day: date, query: Query) -> Query:
    return replace(query, period=reading.until(day, 0))


def _before(day: date, query: Query) -> Query:
    """The week before, or as much of the history as has events."""
    for days in (WEEK, HISTORY):
        period = Period.of_days(day - days * DAY, day - DAY, UTC_ZONE)
        query = replace(query, period=period)
        if totals(query).events:
            break
    return query
