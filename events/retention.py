"""Retention: partitions that every account allows to go are dropped whole; rollups stay.

Deleting rows would bloat every index until the deletion itself timed out.
"""

from dataclasses import dataclass
from datetime import date, datetime

from django.db import OperationalError, connection, transaction

from events import partitions
from events.models import LogStart
from events.roller import LOCK, MAX_EVENTS, roll_up

LOCK_TIMEOUT = "2s"
"""How long ingest may wait behind us while we wait for the log; then we try again later."""

# An account that has events in the partition and wants them keeps it for all.
KEEPERS_SQL = """
SELECT name FROM apikeys_account AS account
WHERE EXISTS (SELECT FROM {partition} WHERE account_id = account.id)
  AND (retention_days IS NULL OR %s::timestamptz - make_interval(days => retention_days) < %s)
ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one month of the log, and which accounts still keep it."""

    month: date
    keepers: list[str]

    @property
    def may_go(self) -> bool:
        return not self.keepers


def log_from() -> datetime | None:
    """Where the log begins; None while nothing was dropped."""
    return LogStart.objects.values_list("log_from", flat=True).first()


def verdicts(now: datetime) -> list[Verdict]:
    """For every past month of the log, oldest first, which accounts keep it at `now`."""
    past = [month for month in partitions.existing() if partitions.end(month) <= now]
    return [Verdict(month, _keepers(month, now)) for month in past]


def apply(now: datetime) -> list[date]:
    """Drop the months that may go; returns them. One that is busy is left for the next time."""
    return [verdict.month for verdict in verdicts(now) if verdict.may_go and _drop(verdict, now)]


def _keepers(month: date, now: datetime) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            KEEPERS_SQL.format(partition=partitions.name(month)), [now, partitions.end(month)]
        )
        return [name for (name,) in cursor.fetchall()]


def _drop(verdict: Verdict, now: datetime) -> bool:
    # What is pending would be lost with the log. Events may never stop coming: nearly all will do.
    while roll_up() >= MAX_EVENTS // 2:
        pass
    end = partitions.end(verdict.month)
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(f"LOCK TABLE {partitions.LOG} IN ACCESS EXCLUSIVE MODE")
            # Under the lock nobody writes: only now is it certain that nothing is pending.
            cursor.execute(
                "SELECT count(*) FROM events_pendingbatch WHERE first_timestamp < %s", [end]
            )
            if cursor.fetchone() != (0,) or _keepers(verdict.month, now):
                return False
            cursor.execute(f"DROP TABLE {partitions.name(verdict.month)}")
            _move_log_start(end)
    except OperationalError:
        return False
    partitions.forget()
    return True


def _move_log_start(end: datetime) -> None:
    begins = max(end, log_from() or end)
    LogStart.objects.update_or_create(pk=1, defaults={"log_from": begins})
