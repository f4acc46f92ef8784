"""Migrations that move data: what was recorded before them is known after."""

from datetime import UTC, datetime
from hashlib import blake2b
from importlib import import_module

from django.db import connection, transaction

from events.identity import key_of

OLD_KEYS_SQL = """
CREATE SCHEMA before;
SET LOCAL search_path TO before, public;
CREATE TABLE before.events_eventkey (
    timestamp timestamptz NOT NULL, account_id integer NOT NULL,
    digest bytea NOT NULL, content bytea NOT NULL, PRIMARY KEY (account_id, digest)
);
"""


def test_leaner_keys_know_the_events_of_the_old_ones():
    keys_sql = import_module("events.migrations.0005_lean").KEYS_SQL
    noon = datetime(2025, 1, 15, 12, tzinfo=UTC)
    content = bytes(range(250, 256)) + bytes(10)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OLD_KEYS_SQL)
        for account_id in (1, 70_000):
            digest = blake2b(b"one", digest_size=16).digest()
            cursor.execute(
                "INSERT INTO events_eventkey VALUES (%s, %s, %s, %s)",
                [noon, account_id, digest, content],
            )
        cursor.execute(keys_sql)
        cursor.execute("SELECT digest, timestamp, content FROM before.events_eventkey")
        rows = set(cursor.fetchall())
        transaction.set_rollback(True)
    short = int.from_bytes(content[:8], "big", signed=True)
    assert rows == {(key_of(account, "one"), noon, short) for account in (1, 70_000)}
