"""The log and the event keys, in SQL: Django cannot declare partitions or column order.

Columns go from wide to narrow so that alignment wastes nothing. There is no unique index on the
log: identity is the business of events_eventkey, which outlives a dropped partition. An id in the
index by time would cost 65 bytes an event to save a sort of equal timestamps. Text is
COLLATE "C": ties are broken bytewise, whatever the database's locale.
"""

from django.db import migrations, models

LOG_SQL = """
CREATE TABLE events_event (
    timestamp timestamptz NOT NULL,
    batch_id bigint NOT NULL,
    tag_set_id bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    latency_ms bigint,
    account_id integer NOT NULL,
    entity_id integer NOT NULL,
    model_id integer NOT NULL,
    cost_source smallint NOT NULL,
    success boolean NOT NULL,
    cost numeric(20, 10),
    id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C",
    error_type text,
    error_code text,
    CONSTRAINT event_parts_within_whole CHECK (
        cache_read_tokens >= 0 AND cache_write_tokens >= 0 AND reasoning_tokens >= 0
        AND cache_read_tokens + cache_write_tokens <= input_tokens
        AND reasoning_tokens <= output_tokens
    ),
    CONSTRAINT event_latency_positive CHECK (latency_ms >= 0),
    CONSTRAINT event_cost_positive CHECK (cost >= 0),
    CONSTRAINT event_cost_source_known CHECK (cost_source BETWEEN 0 AND 3),
    CONSTRAINT event_unpriced_is_null CHECK ((cost IS NULL) = (cost_source = 0))
) PARTITION BY RANGE (timestamp);

CREATE INDEX event_batch ON events_event (batch_id);
CREATE INDEX event_account_time ON events_event (account_id, timestamp);
CREATE INDEX event_entity_time ON events_event (account_id, entity_id, timestamp);

CREATE TABLE events_eventkey (
    timestamp timestamptz NOT NULL,
    account_id integer NOT NULL,
    digest bytea NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT eventkey_grain PRIMARY KEY (account_id, digest),
    CONSTRAINT eventkey_digest_sizes CHECK (length(digest) = 16 AND length(content) = 16)
);
"""

DROP_SQL = "DROP TABLE events_eventkey; DROP TABLE events_event;"


class Migration(migrations.Migration):
    dependencies = [("events", "0001_dimensions")]

    operations = [
        migrations.RunSQL(LOG_SQL, DROP_SQL),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.TextField(primary_key=True, serialize=False)),
                ("timestamp", models.DateTimeField()),
                ("session_id", models.TextField(null=True)),
                ("input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("cache_read_tokens", models.BigIntegerField()),
                ("cache_write_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("cost", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                (
                    "cost_source",
                    models.SmallIntegerField(
                        choices=[(0, "Unpriced"), (1, "Reported"), (2, "Computed"), (3, "Repriced")]
                    ),
                ),
                ("latency_ms", models.BigIntegerField(null=True)),
                ("success", models.BooleanField()),
                ("error_type", models.TextField(null=True)),
                ("error_code", models.TextField(null=True)),
            ],
            options={
                "db_table": "events_event",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="EventKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "digest",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("digest", models.BinaryField(max_length=16)),
                ("content", models.BinaryField(max_length=16)),
                ("timestamp", models.DateTimeField()),
            ],
            options={
                "db_table": "events_eventkey",
                "managed": False,
            },
        ),
    ]
