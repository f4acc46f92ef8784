"""One answer is one snapshot of the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction


@contextmanager
def snapshot(timeout: int | None = None) -> Iterator[None]:
    """A REPEATABLE READ, READ ONLY transaction.

    A statement in it may take `timeout` seconds, QUERY_TIMEOUT unless told, 0 for ever; the
    database then cancels it, and OperationalError is raised.

    At READ COMMITTED two statements of one answer can see two states (a count and its rows, a
    rollup and its tail: 0 instead of 10 was measured).
    """
    seconds = settings.QUERY_TIMEOUT if timeout is None else timeout
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            # The lock comes before the snapshot: retention, which takes the log for itself to drop
            # a month, could otherwise do so unseen after the snapshot, and before the log is read.
            cursor.execute(
                f"SET LOCAL statement_timeout = '{seconds:d}s';"
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                "LOCK TABLE ONLY events_event IN ACCESS SHARE MODE"
            )
        yield
