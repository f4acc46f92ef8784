"""Connection pools, closed while it can be done."""

from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.db import connections

if TYPE_CHECKING:
    from django.db.backends.postgresql.base import DatabaseWrapper


def disconnect() -> None:
    """Close this process's connections and pools.

    Before a fork, because a pool's threads do not survive it; and before the process ends, because
    Python 3.13 then waits in vain for the threads of an open pool, 5 s for each of the four.
    """
    if not settings.configured:  # they are malformed, so nothing was opened
        return
    for connection in connections.all():
        connection.close()
        cast("DatabaseWrapper", connection).close_pool()
