"""What was found abnormal."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from apikeys.models import Account
from events.models import Entity


class AnomalyType(models.TextChoices):
    COST_SPIKE = "cost_spike"
    USAGE_SPIKE = "usage_spike"
    COST_PER_EVENT_SPIKE = "cost_per_event_spike"
    ERROR_SPIKE = "error_spike"
    LATENCY_SPIKE = "latency_spike"
    COST_DROP = "cost_drop"


class Severity(models.TextChoices):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class AnomalyStatus(models.TextChoices):
    ACTIVE = "active"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"


class Anomaly(models.Model):
    """One abnormal day of an entity, or of the whole account (`entity` null), in one respect."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    entity = models.ForeignKey(Entity, null=True, blank=True, on_delete=models.PROTECT)
    date = models.DateField()
    type = models.CharField(max_length=30, choices=AnomalyType)
    severity = models.CharField(max_length=10, choices=Severity)
    status = models.CharField(max_length=10, choices=AnomalyStatus, default=AnomalyStatus.ACTIVE)
    detected_at = models.DateTimeField()
    description = models.TextField()
    expected_value = models.DecimalField(max_digits=30, decimal_places=10)
    actual_value = models.DecimalField(max_digits=30, decimal_places=10)
    contributors = models.JSONField(default=dict)
    status_changed_at = models.DateTimeField(null=True, blank=True)
    status_changed_by = models.TextField(blank=True, default="")
    """Who set the status: a person; empty while it is the detector's to change."""
    returned_on = models.DateField(null=True, blank=True)
    """The day on which the detector found the value usual again."""

    class Meta:
        verbose_name_plural = "anomalies"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "entity", "type", "date"],
                nulls_distinct=False,
                name="anomaly_grain",
            ),
            models.CheckConstraint(
                condition=Q(
                    type__in=AnomalyType.values,
                    severity__in=Severity.values,
                    status__in=AnomalyStatus.values,
                ),
                name="anomaly_words_known",
            ),
        ]
        indexes = [models.Index(fields=["account", "date"], name="anomaly_account_date")]

    def __str__(self) -> str:
        return f"{self.type} {self.date}"

    @property
    def public_id(self) -> str:
        """Its name in the API."""
        return f"anomaly_{self.pk}"

    def set_status(self, status: str, who: str, when: datetime) -> None:
        """A person's word; from now on the detector leaves the status alone."""
        self.status, self.status_changed_by, self.status_changed_at = status, who, when
        self.returned_on = None
        changed = ("status", "status_changed_by", "status_changed_at", "returned_on")
        self.save(update_fields=changed)


class JudgedDay(models.Model):
    """A day that is over, as it was when its anomalies were last looked for.

    When its totals are others now (late events, new prices), it is judged again.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    date = models.DateField()
    events = models.BigIntegerField()
    cost = models.DecimalField(max_digits=40, decimal_places=10)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "date"], name="judgedday_grain"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.date}"
