"""One answer is one snapshot of the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def snapshot() -> Iterator[None]:
    """A REPEATABLE READ, READ ONLY transaction.

    At READ COMMITTED two statements of one answer can see two states (a count and its rows, a
    rollup and its tail: 0 instead of 10 was measured).
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            # The lock comes before the snapshot: retention, which takes the log for itself to drop
            # a month, could otherwise do so unseen after the snapshot, and before the log is read.
            cursor.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                "LOCK TABLE ONLY events_event IN ACCESS SHARE MODE"
            )
        yield
