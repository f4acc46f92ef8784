"""Monthly partitions of the log, made ahead by the worker and on demand by late events."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction

LOG = "events_event"
MONTHS_AHEAD = 2
# Any constant that nothing else locks; one process makes partitions at a time.
LOCK = 0x_C057_0001

_known: set[date] = set()


def month_of(moment: datetime) -> date:
    """The first day of the UTC month that `moment` lies in: the name of its partition."""
    return moment.astimezone(UTC).date().replace(day=1)


def months_of(moments: Iterable[datetime]) -> set[date]:
    """The partitions of many moments, which are in UTC."""
    return {date(year, month, 1) for year, month in {(at.year, at.month) for at in moments}}


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month + timedelta(days=32)).replace(day=1)


def ensure_ahead(now: datetime) -> None:
    """Make the partitions of this month and the next ones."""
    months = [month_of(now)]
    while len(months) <= MONTHS_AHEAD:
        months.append(next_month(months[-1]))
    ensure(months)


def ensure(months: Iterable[date]) -> None:
    """Make the partitions that are missing. Call it outside a transaction.

    CREATE then ATTACH, in a transaction of its own: `PARTITION OF` would wait behind every open
    ingest, and inside an ingest it deadlocks.
    """
    for month in sorted(set(months) - _known):
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            cursor.execute("SELECT to_regclass(%s)", [name(month)])
            if cursor.fetchone() == (None,):
                _create(cursor, month)
        _known.add(month)


def existing() -> list[date]:
    """The months that have a partition, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relid::regclass::text FROM pg_partition_tree(%s) WHERE isleaf ORDER BY 1", [LOG]
        )
        names = [name for (name,) in cursor.fetchall()]
    return [
        date.fromisoformat(name.removeprefix(f"{LOG}_").replace("_", "-") + "-01") for name in names
    ]


def end(month: date) -> datetime:
    """The first instant after the month."""
    return _midnight(next_month(month))


def forget() -> None:
    """Look again next time: another process may have dropped a partition."""
    _known.clear()


def _create(cursor: object, month: date) -> None:
    table = name(month)
    cursor.execute(f"CREATE TABLE {table} (LIKE {LOG} INCLUDING ALL)")  # type: ignore[attr-defined]
    cursor.execute(  # type: ignore[attr-defined]
        f"ALTER TABLE {LOG} ATTACH PARTITION {table} FOR VALUES FROM (%s) TO (%s)",
        [_midnight(month), end(month)],
    )


def name(month: date) -> str:
    """The table of a month's partition."""
    return f"{LOG}_{month:%Y_%m}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
