"""The tables, made and brought up to date."""

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

_MIGRATION_LOCK = 0x636F7374  # an advisory lock, "cost"


def need_tables() -> None:
    """See to it that the database is migrated: the embedded one is, as by `serve`.

    Raises CommandError where a database of your own is not.
    """
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    if not settings.EMBEDDED:
        raise CommandError("The database is not up to date: run `manage.py migrate` first.")
    migrate(verbosity=0)


def migrate(verbosity: int = 1) -> None:
    """Bring the database up to date, one process at a time."""
    with connection.cursor() as cursor:
        # Two that start together would both create the first table, and one would fail.
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        try:
            call_command("migrate", interactive=False, verbosity=verbosity)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
