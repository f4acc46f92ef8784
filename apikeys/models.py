"""Accounts and their keys."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apikeys import keys

DEFAULT_REQUESTS_PER_MINUTE = 60_000
MOST_RETENTION_DAYS = 36_500


class Plan(models.TextChoices):
    FREE = "free"
    GROWTH = "growth"
    SCALE = "scale"
    ENTERPRISE = "enterprise"


PLAN_REQUESTS_PER_MINUTE = {Plan.FREE: 60, Plan.GROWTH: 300, Plan.SCALE: 1000}


class Scope(models.TextChoices):
    INGEST = "ingest", "ingest (write events)"
    READ = "read", "read (every GET)"
    MANAGE = "manage", "manage (change anomalies, prices)"


def make_public_id() -> str:
    """A name for an account that says nothing about how many there are."""
    return "acc_" + secrets.token_hex(12)


class Account(models.Model):
    """A tenant: whoever owns keys, events, entities and prices."""

    public_id = models.CharField(max_length=40, unique=True, default=make_public_id, editable=False)
    name = models.CharField(max_length=200, unique=True)
    email = models.EmailField(blank=True)
    company = models.CharField(max_length=200, blank=True)
    plan = models.CharField(max_length=20, choices=Plan, default=Plan.ENTERPRISE)
    requests_per_minute = models.PositiveIntegerField(
        default=DEFAULT_REQUESTS_PER_MINUTE, help_text="The limit of an enterprise account."
    )
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_RETENTION_DAYS)],
        help_text="Days that events are kept at least; empty for ever. Totals are kept for ever.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(plan__in=Plan.values), name="account_plan_known"),
            models.CheckConstraint(
                condition=Q(requests_per_minute__gt=0), name="account_limit_positive"
            ),
            models.CheckConstraint(
                condition=Q(retention_days__range=(1, MOST_RETENTION_DAYS)),
                name="account_retention_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rate_limit(self) -> int:
        """Requests a minute: the plan's, or the account's own number on enterprise."""
        return PLAN_REQUESTS_PER_MINUTE.get(Plan(self.plan), self.requests_per_minute)


class APIKey(models.Model):
    """A credential of an account; of the key itself only a keyed hash is kept."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=200, blank=True)
    prefix = models.CharField(max_length=keys.PREFIX_LENGTH, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values) & Q(scopes__len__gt=0),
                name="apikey_scopes_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.account}"

    def is_live(self, now: datetime) -> bool:
        """Neither revoked nor expired at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def issue_key(
    account: Account,
    *,
    scopes: Iterable[str] = Scope.values,
    expires_at: datetime | None = None,
    name: str = "",
) -> tuple[APIKey, str]:
    """Make a key for `account`; the second value is the key itself, to be shown once."""
    key = keys.make_key()
    row = APIKey.objects.create(
        account=account,
        name=name,
        prefix=keys.prefix(key),
        digest=keys.digest(key),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
    )
    return row, key


class RateWindow(models.Model):
    """Requests counted in an account's current minute (an UNLOGGED table, see limits.py)."""

    account = models.OneToOneField(
        Account, on_delete=models.CASCADE, primary_key=True, db_constraint=False
    )
    window_number = models.BigIntegerField()
    used = models.IntegerField()
