"""The rollups of events/rollups.py, and the sessions and entities rolled up."""

from django.db import migrations

DIMENSIONS = {
    "day_type_model": ["entity_type", "model_id"],
    "quarter": [],
    "day_tags": ["tag_set_id"],
    "day_entity": ["entity_id"],
    "day_entity_model": ["entity_id", "model_id"],
    "hour_entity": ["entity_id"],
    "quarter_type_model": ["entity_type", "model_id"],
    "quarter_tags": ["tag_set_id"],
}

TYPES = {
    "entity_id": "integer",
    "model_id": "integer",
    "tag_set_id": "bigint",
    "entity_type": 'text COLLATE "C"',
}

# From wide to narrow, so that alignment wastes nothing.
MEASURES = """
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    latency_sum bigint NOT NULL,
    latency_count integer NOT NULL,
    events integer NOT NULL,
    failed_events integer NOT NULL,
    unpriced_events integer NOT NULL,
    cost numeric(30, 10) NOT NULL
"""


def create_sql(name: str, dimensions: list[str]) -> str:
    table = f"events_rollup_{name}"
    columns = "".join(f"{dimension} {TYPES[dimension]} NOT NULL, " for dimension in dimensions)
    key = ", ".join(["account_id", "bucket", *dimensions])
    create = f"""
        CREATE TABLE {table} (
            bucket timestamptz NOT NULL, account_id integer NOT NULL, {columns} {MEASURES},
            CONSTRAINT {name}_grain PRIMARY KEY ({key})
        ) WITH (fillfactor = 80);
    """
    if "entity_id" in dimensions:  # one entity over a long period
        create += f"CREATE INDEX {name}_entity ON {table} (account_id, entity_id, bucket);"
    return create


SESSIONS_SQL = """
CREATE TABLE events_session (
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    tokens bigint NOT NULL,
    account_id integer NOT NULL,
    entity_id integer NOT NULL,
    turns integer NOT NULL,
    unpriced_events integer NOT NULL,
    cost numeric(30, 10) NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    first_id text COLLATE "C" NOT NULL,
    models integer[] NOT NULL,
    tag_sets bigint[] NOT NULL,
    CONSTRAINT session_grain PRIMARY KEY (account_id, session_id)
) WITH (fillfactor = 80);
CREATE INDEX session_start_time ON events_session (account_id, started_at);

CREATE TABLE events_sessionstart (
    bucket timestamptz NOT NULL,
    account_id integer NOT NULL,
    entity_id integer NOT NULL,
    sessions integer NOT NULL,
    turns integer NOT NULL,
    unpriced_events integer NOT NULL,
    cost numeric(30, 10) NOT NULL,
    CONSTRAINT sessionstart_grain PRIMARY KEY (account_id, bucket, entity_id)
) WITH (fillfactor = 80);

CREATE TABLE events_entityspend (
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    events bigint NOT NULL,
    account_id integer NOT NULL,
    entity_id integer NOT NULL,
    cost numeric(30, 10) NOT NULL,
    CONSTRAINT entityspend_grain PRIMARY KEY (account_id, entity_id)
) WITH (fillfactor = 50);
"""

DROP_SQL = "DROP TABLE events_session, events_sessionstart, events_entityspend"


class Migration(migrations.Migration):
    dependencies = [("events", "0002_log")]

    operations = [
        *(
            migrations.RunSQL(create_sql(name, dimensions), f"DROP TABLE events_rollup_{name}")
            for name, dimensions in DIMENSIONS.items()
        ),
        migrations.RunSQL(SESSIONS_SQL, DROP_SQL),
    ]
