"""How well the meter agrees with the bill, by day and model."""

from django.db import migrations

TABLE_SQL = """
CREATE TABLE events_rollup_day_accuracy (
    bucket timestamptz NOT NULL,
    unpriced_tokens bigint NOT NULL,
    account_id integer NOT NULL,
    model_id integer NOT NULL,
    reported_events integer NOT NULL,
    compared_events integer NOT NULL,
    unpriced_events integer NOT NULL,
    reported_cost numeric(30, 10) NOT NULL,
    computed_cost numeric(30, 10) NOT NULL,
    CONSTRAINT day_accuracy_grain PRIMARY KEY (account_id, bucket, model_id)
);
CREATE INDEX day_accuracy_unpriced ON events_rollup_day_accuracy (model_id)
    WHERE unpriced_events > 0;
"""

# What was rolled up before. Costs were not computed beside reported ones then.
FILL_SQL = """
INSERT INTO events_rollup_day_accuracy (
    account_id, bucket, model_id, reported_events, compared_events, unpriced_events,
    unpriced_tokens, reported_cost, computed_cost
)
SELECT account_id, date_bin('1 day', timestamp, TIMESTAMPTZ '2000-01-01 00:00:00+00'), model_id,
       count(cost), 0, count(*) FILTER (WHERE cost IS NULL),
       coalesce(sum(input_tokens + output_tokens) FILTER (WHERE cost IS NULL), 0), 0, 0
FROM events_event
WHERE cost_source < 2 AND batch_id <> ALL(ARRAY(SELECT id FROM events_pendingbatch))
GROUP BY 1, 2, 3;
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0006_prices")]

    operations = [
        migrations.RunSQL(TABLE_SQL, "DROP TABLE events_rollup_day_accuracy"),
        migrations.RunSQL(FILL_SQL, migrations.RunSQL.noop),
    ]
