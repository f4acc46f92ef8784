"""Price versions, what was made of them, and who changed costs after the fact.

A price version is never edited: a change closes one and opens the next. A trigger holds that, and
an exclusion constraint that no two versions of a price are valid at once.
"""

from datetime import time

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeBoundary
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce, Now

from apikeys.models import Account

NAME_LENGTH = 200

EVERYBODY = 0
"""Stands for "no account" where a price of everybody's is told from an account's own."""

WHOLE_DAY = time(0)
"""A price whose hours begin and end then is valid all day."""


class ServiceTier(models.IntegerChoices):
    """How fast, and so at which price, a provider serves a call."""

    STANDARD = 0, "standard"
    BATCH = 1, "batch"
    FLEX = 2, "flex"
    PRIORITY = 3, "priority"


class Unit(models.TextChoices):
    """What a price is for: disjoint parts of a call."""

    __hash__ = str.__hash__  # Enum's own is written in Python: 1 ms a thousand events

    INPUT = "input"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    CACHE_WRITE_1H = "cache_write_1h"
    OUTPUT = "output"
    REASONING = "reasoning"
    INPUT_AUDIO = "input_audio"
    INPUT_IMAGE = "input_image"
    INPUT_VIDEO = "input_video"
    CACHE_READ_AUDIO = "cache_read_audio"
    CACHE_READ_IMAGE = "cache_read_image"
    CACHE_READ_VIDEO = "cache_read_video"
    OUTPUT_AUDIO = "output_audio"
    OUTPUT_IMAGE = "output_image"
    OUTPUT_VIDEO = "output_video"
    REQUEST = "request"


class Source(models.TextChoices):
    """Who said so."""

    CATALOGUE = "genai-prices"
    ADMIN = "admin"
    API = "api"


class TsTzRange(Func):
    """`tstzrange(from, to, bounds)`."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class Price(models.Model):
    """One price version: USD per unit of a model, valid from one instant to before another.

    `provider` and `model` are in lower case; a `model` that ends in `*` matches what begins so.
    `context_over`: for calls with more input tokens than that. `valid_from` NULL: from the
    beginning; `valid_to` NULL: until further notice.
    """

    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Whose price it is, before that of everybody. Empty: everybody's.",
    )
    provider = models.CharField(max_length=NAME_LENGTH, db_collation="C")
    model = models.CharField(
        max_length=NAME_LENGTH,
        db_collation="C",
        help_text="As events name it; what ends in * matches every name that begins so.",
    )
    unit = models.CharField(max_length=20, choices=Unit)
    service_tier = models.SmallIntegerField(choices=ServiceTier, default=ServiceTier.STANDARD)
    context_over = models.BigIntegerField(
        default=0, help_text="Only for calls with more input tokens than this."
    )
    daily_from = models.TimeField(default=WHOLE_DAY)
    daily_to = models.TimeField(default=WHOLE_DAY)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    usd_per_unit = models.DecimalField("USD per unit", max_digits=36, decimal_places=24)
    is_dated = models.BooleanField(
        default=True, help_text="Whether the source says since when it is valid."
    )
    source = models.CharField(max_length=20, choices=Source)
    source_version = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="price_versions_disjoint",
                expressions=[
                    (Coalesce("account_id", Value(EVERYBODY)), "="),
                    *((F(name), "=") for name in ("provider", "model", "unit", "service_tier")),
                    *((F(name), "=") for name in ("context_over", "daily_from", "daily_to")),
                    (TsTzRange("valid_from", "valid_to", RangeBoundary()), "&&"),
                ],
                violation_error_message="Another version of this price is valid then.",
            ),
            models.CheckConstraint(
                condition=Q(usd_per_unit__gte=0, context_over__gte=0), name="price_positive"
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_from=None) | Q(valid_to__gte=F("valid_from")),
                name="price_validity_ordered",
            ),
            models.CheckConstraint(
                condition=~Q(provider="") & ~Q(model=""), name="price_model_named"
            ),
        ]
        indexes = [models.Index(fields=["provider", "model"], name="price_model")]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} {self.unit}"


class PriceBook(models.Model):
    """One row, locked by whoever changes prices: they do so one by one.

    `version` counts the changes, so that every process sees whether what it has cached is old.
    """

    version = models.BigIntegerField()
    catalogue = models.CharField(max_length=50, blank=True)


class RateSet(models.Model):
    """The price versions that price an event, once for all events that they price.

    Immutable, and named by events: what each token cost is told from it at any time.
    """

    prices = ArrayField(models.IntegerField())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["prices"], name="rateset_prices")]


class Repricing(models.Model):
    """Audit: one run that gave events other costs."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, null=True)
    scope = models.JSONField(help_text="What was asked for.", encoder=DjangoJSONEncoder)
    made_by = models.CharField(max_length=200)
    applied_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=200, blank=True)
    events = models.BigIntegerField()
    changes = models.JSONField(
        help_text="By model: events, cost before and after.", encoder=DjangoJSONEncoder
    )

    def __str__(self) -> str:
        return f"Run {self.pk}"


class RepricedEvent(models.Model):
    """What an event was before a run; gone once that is undone."""

    pk = models.CompositePrimaryKey("account_id", "run_id", "timestamp", "event_id")
    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, db_constraint=False)
    run = models.ForeignKey(Repricing, on_delete=models.DO_NOTHING, db_constraint=False)
    timestamp = models.DateTimeField()
    event_id = models.TextField(db_collation="C")
    cost = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cost_source = models.SmallIntegerField()
    rate_set = models.ForeignKey(
        RateSet, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True
    )
    computed_cost = models.DecimalField(max_digits=20, decimal_places=10, null=True)
