"""The fact table (one row is one LLM call) and its dimensions.

`Event` and `EventKey` are made by SQL in the migration: the log is partitioned by month and has
no unique index, and Django sees a normal model. Rows are written by `events.ingest` alone.
"""

from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from apikeys.models import Account
from events.price_models import NAME_LENGTH, RateSet, ServiceTier

NONE = 0
"""The id of "no entity" and "no tags" in facts: a dimension of a unique key is never NULL."""


class CostSource(models.IntegerChoices):
    """Where an event's cost comes from."""

    UNPRICED = 0
    REPORTED = 1
    COMPUTED = 2
    REPRICED = 3


def _bytewise() -> "models.CharField[str, str]":
    """Text that sorts and compares byte by byte, whatever the database's locale."""
    return models.CharField(max_length=NAME_LENGTH, db_collation="C")


class Entity(models.Model):
    """Dimension: whom a call is attributed to (a customer, a team, a project, …)."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    entity_type = _bytewise()
    entity_id = _bytewise()
    name = models.CharField(
        max_length=NAME_LENGTH, blank=True, db_default="", help_text="Shown to people."
    )

    class Meta:
        verbose_name_plural = "entities"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "entity_type", "entity_id"], name="entity_grain"
            ),
            models.CheckConstraint(
                condition=~Q(entity_type="") & ~Q(entity_id=""), name="entity_named"
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"{self.entity_type} {self.entity_id}"


class LLMModel(models.Model):
    """Dimension: a model of a provider, as an account's events name it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    provider = _bytewise()
    model = _bytewise()

    class Meta:
        verbose_name = "model"
        constraints = [
            models.UniqueConstraint(fields=["account", "provider", "model"], name="model_grain"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class TagSet(models.Model):
    """Dimension: one distinct set of tags. `digest` names it, as jsonb is too long for a key."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    digest = models.BinaryField(max_length=16)
    tags = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="tagset_grain"),
        ]
        indexes = [GinIndex(fields=["tags"], opclasses=["jsonb_path_ops"], name="tagset_tags")]


class EventKey(models.Model):
    """Who was here before: one row per account and id for ever, also after the event is gone.

    `digest` is of the account and the id, `content` of what the client sent (8 bytes of it);
    `timestamp` finds the partition.
    """

    digest = models.UUIDField(primary_key=True)
    timestamp = models.DateTimeField()
    content = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "events_eventkey"


class PendingBatch(models.Model):
    """A batch of events that no rollup holds yet; written with them, deleted by the roller."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, db_constraint=False)
    events = models.IntegerField()
    first_timestamp = models.DateTimeField()
    last_timestamp = models.DateTimeField()
    received_at = models.DateTimeField()


class LogStart(models.Model):
    """One row: where the log begins. Before it, retention has left only rollups."""

    log_from = models.DateTimeField()


def _dimension(to: type[models.Model]) -> "models.ForeignKey[Any, Any]":
    """A foreign key without a constraint: checking it would cost a look-up per event.

    Dimension rows are committed before the facts that name them and are never deleted.
    NULL-able for Django alone, so that it joins from the left: NONE has no row.
    """
    return models.ForeignKey(
        to, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True
    )


class Event(models.Model):
    """Fact: one LLM call. Append-only; its `id` is unique per account, by EventKey.

    A part of its tokens that is 0 is NULL.
    """

    id = models.TextField(primary_key=True)
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    batch = models.ForeignKey(
        PendingBatch, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    timestamp = models.DateTimeField()
    entity = _dimension(Entity)
    model = _dimension(LLMModel)
    tag_set = _dimension(TagSet)
    session_id = models.TextField(null=True)
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cache_read_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cost_source = models.SmallIntegerField(choices=CostSource)
    latency_ms = models.BigIntegerField(null=True)
    success = models.BooleanField()
    error_type = models.TextField(null=True)
    error_code = models.TextField(null=True)
    # Of most events these are NULL and take no room.
    cache_write_1h_tokens = models.BigIntegerField(null=True)
    media_tokens = models.JSONField(null=True)
    service_tier = models.SmallIntegerField(choices=ServiceTier, null=True)
    rate_set = models.ForeignKey(
        RateSet, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True
    )
    computed_cost = models.DecimalField(max_digits=20, decimal_places=10, null=True)

    class Meta:
        managed = False
        db_table = "events_event"

    def __str__(self) -> str:
        return self.id
