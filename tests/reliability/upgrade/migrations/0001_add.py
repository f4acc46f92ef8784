"""What a release may add without stopping anything."""

from django.db import migrations

ADD = """
ALTER TABLE {table} ADD COLUMN added integer NOT NULL DEFAULT 0;
"""
TABLES = ["events_event", "events_pendingbatch", "apikeys_account", "events_session"]


class Migration(migrations.Migration):
    atomic = False  # each table is locked for its own moment, and an index is built beside writers
    dependencies = [("events", "0005_lean"), ("apikeys", "0003_retention_days")]
    operations = [
        *(migrations.RunSQL(ADD.format(table=table)) for table in TABLES),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY added_index ON events_session (ended_at)"),
    ]
