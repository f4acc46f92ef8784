"""Price versions and what follows from them; what an event says of its price.

The exclusion constraint needs btree_gist. It is a trusted extension: the owner of the database may
create it.
"""

import datetime

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.core.serializers.json
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

import events.price_models

EVENT_SQL = """
ALTER TABLE events_event
    ADD COLUMN cache_write_1h_tokens bigint,
    ADD COLUMN media_tokens jsonb,
    ADD COLUMN service_tier smallint,
    ADD COLUMN rate_set_id integer,
    ADD COLUMN computed_cost numeric(20, 10),
    ADD CONSTRAINT event_1h_within_writes CHECK (
        cache_write_1h_tokens BETWEEN 0 AND coalesce(cache_write_tokens, 0)
    ),
    ADD CONSTRAINT event_service_tier_known CHECK (service_tier BETWEEN 1 AND 3),
    ADD CONSTRAINT event_computed_cost_beside CHECK (
        computed_cost IS NULL OR computed_cost >= 0 AND cost_source = 1
    );
"""

DROP_EVENT_SQL = """
ALTER TABLE events_event
    DROP COLUMN cache_write_1h_tokens, DROP COLUMN media_tokens, DROP COLUMN service_tier,
    DROP COLUMN rate_set_id, DROP COLUMN computed_cost;
"""

# Events name the versions that priced them, for ever.
NEVER_EDITED_SQL = """
CREATE FUNCTION events_price_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'valid_to' = to_jsonb(OLD) - 'valid_to'
       AND NEW.valid_to <= coalesce(OLD.valid_to, 'infinity') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A price version is never edited: close it, and open the next.'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER price_is_kept BEFORE UPDATE OR DELETE ON events_price
    FOR EACH ROW EXECUTE FUNCTION events_price_is_kept();
INSERT INTO events_pricebook (version, catalogue) VALUES (0, '');
"""

DROP_NEVER_EDITED_SQL = """
DROP TRIGGER price_is_kept ON events_price;
DROP FUNCTION events_price_is_kept;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0003_retention_days"),
        ("events", "0005_lean"),
    ]

    operations = [
        BtreeGistExtension(),
        migrations.RunSQL(EVENT_SQL, DROP_EVENT_SQL),
        migrations.CreateModel(
            name="PriceBook",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.BigIntegerField()),
                ("catalogue", models.CharField(blank=True, max_length=50)),
            ],
        ),
        migrations.CreateModel(
            name="RateSet",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "prices",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.IntegerField(), size=None
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("prices",), name="rateset_prices")],
            },
        ),
        migrations.CreateModel(
            name="Repricing",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "scope",
                    models.JSONField(
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        help_text="What was asked for.",
                    ),
                ),
                ("made_by", models.CharField(max_length=200)),
                ("applied_at", models.DateTimeField()),
                ("undone_at", models.DateTimeField(null=True)),
                ("undone_by", models.CharField(blank=True, max_length=200)),
                ("events", models.BigIntegerField()),
                (
                    "changes",
                    models.JSONField(
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        help_text="By model: events, cost before and after.",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, to="apikeys.account"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RepricedEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "run_id",
                        "timestamp",
                        "event_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("timestamp", models.DateTimeField()),
                ("event_id", models.TextField(db_collation="C")),
                ("cost", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("cost_source", models.SmallIntegerField()),
                ("computed_cost", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="apikeys.account",
                    ),
                ),
                (
                    "rate_set",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="events.rateset",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="events.repricing",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(db_collation="C", max_length=200)),
                (
                    "model",
                    models.CharField(
                        db_collation="C",
                        help_text="As events name it; what ends in * matches every name that begins so.",
                        max_length=200,
                    ),
                ),
                (
                    "unit",
                    models.CharField(
                        choices=[
                            ("input", "Input"),
                            ("cache_read", "Cache Read"),
                            ("cache_write", "Cache Write"),
                            ("cache_write_1h", "Cache Write 1H"),
                            ("output", "Output"),
                            ("reasoning", "Reasoning"),
                            ("input_audio", "Input Audio"),
                            ("input_image", "Input Image"),
                            ("input_video", "Input Video"),
                            ("cache_read_audio", "Cache Read Audio"),
                            ("cache_read_image", "Cache Read Image"),
                            ("cache_read_video", "Cache Read Video"),
                            ("output_audio", "Output Audio"),
                            ("output_image", "Output Image"),
                            ("output_video", "Output Video"),
                            ("request", "Request"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "service_tier",
                    models.SmallIntegerField(
                        choices=[(0, "standard"), (1, "batch"), (2, "flex"), (3, "priority")],
                        default=0,
                    ),
                ),
                (
                    "context_over",
                    models.BigIntegerField(
                        default=0, help_text="Only for calls with more input tokens than this."
                    ),
                ),
                ("daily_from", models.TimeField(default=datetime.time(0, 0))),
                ("daily_to", models.TimeField(default=datetime.time(0, 0))),
                ("valid_from", models.DateTimeField(blank=True, null=True)),
                ("valid_to", models.DateTimeField(blank=True, null=True)),
                (
                    "usd_per_unit",
                    models.DecimalField(
                        decimal_places=24, max_digits=36, verbose_name="USD per unit"
                    ),
                ),
                (
                    "is_dated",
                    models.BooleanField(
                        default=True, help_text="Whether the source says since when it is valid."
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[("genai-prices", "Catalogue"), ("admin", "Admin"), ("api", "Api")],
                        max_length=20,
                    ),
                ),
                ("source_version", models.CharField(blank=True, max_length=50)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        help_text="Whose price it is, before that of everybody. Empty: everybody's.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="apikeys.account",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["provider", "model"], name="price_model")],
                "constraints": [
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        expressions=[
                            (
                                django.db.models.functions.comparison.Coalesce(
                                    "account_id", models.Value(0)
                                ),
                                "=",
                            ),
                            (models.F("provider"), "="),
                            (models.F("model"), "="),
                            (models.F("unit"), "="),
                            (models.F("service_tier"), "="),
                            (models.F("context_over"), "="),
                            (models.F("daily_from"), "="),
                            (models.F("daily_to"), "="),
                            (
                                events.price_models.TsTzRange(
                                    "valid_from",
                                    "valid_to",
                                    django.contrib.postgres.fields.ranges.RangeBoundary(),
                                ),
                                "&&",
                            ),
                        ],
                        name="price_versions_disjoint",
                        violation_error_message="Another version of this price is valid then.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("context_over__gte", 0), ("usd_per_unit__gte", 0)),
                        name="price_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_to", None),
                            ("valid_from", None),
                            ("valid_to__gte", models.F("valid_from")),
                            _connector="OR",
                        ),
                        name="price_validity_ordered",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("provider", ""), _negated=True),
                            models.Q(("model", ""), _negated=True),
                        ),
                        name="price_model_named",
                    ),
                ],
            },
        ),
        migrations.RunSQL(NEVER_EDITED_SQL, DROP_NEVER_EDITED_SQL),
    ]
