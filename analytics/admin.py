"""The admin of entities, with what they spent (a question to the log), and of anomalies."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from analytics.models import Anomaly, AnomalyStatus
from analytics.spend import entity_spend
from apikeys.admin import Kept, ReadOnly
from events.admin import shown
from events.models import Entity
from events.money import plain

SPEND = ["events", "spend", "first_seen", "last_seen"]


@admin.register(Entity)
class EntityAdmin(Kept):
    """Entities come with events; people give them names."""

    fields = ["name", "account", "entity_type", "entity_id", *SPEND]
    readonly_fields = ["account", "entity_type", "entity_id", *SPEND]
    list_display = ["entity_id", "name", "entity_type", "account", *SPEND]
    list_filter = [("entity_type", admin.AllValuesFieldListFilter), "account"]
    list_select_related = ["account"]
    search_fields = ["entity_id", "name"]
    search_help_text = "A part of an id or of a name."
    ordering = ["account__name", "entity_type", "entity_id"]
    actions = None

    class Media:
        css = {"all": ["events/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        found = super().get_changelist_instance(request)
        add_spend(found.result_list)
        return found

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Entity | None:
        entity: Entity | None = super().get_object(request, object_id, from_field)
        if entity:
            add_spend([entity])
        return entity

    @admin.display
    def events(self, entity: Any) -> str:
        url = reverse("admin:events_event_changelist")
        return format_html('<a href="{}?entity={}">{}</a>', url, entity.pk, entity.spent.events)

    @admin.display(description="spend to date (USD)")
    def spend(self, entity: Any) -> str:
        return plain(entity.spent.cost)

    @admin.display
    def first_seen(self, entity: Any) -> str | None:
        return shown(entity.spent.first_seen) if entity.spent.events else None

    @admin.display
    def last_seen(self, entity: Any) -> str | None:
        return shown(entity.spent.last_seen) if entity.spent.events else None


@admin.register(Anomaly)
class AnomalyAdmin(ReadOnly):
    list_display = [
        "date",
        "account",
        "entity",
        "type",
        "severity",
        "status",
        "expected",
        "actual",
        "detected_at",
    ]
    list_filter = ["status", "severity", "type", "account"]
    list_select_related = ["account", "entity"]
    search_fields = ["entity__entity_id", "entity__name"]
    search_help_text = "A part of an entity's id or of its name."
    date_hierarchy = "date"
    ordering = ["-date", "-id"]
    actions = ["resolve", "dismiss", "reopen"]

    def has_word_permission(self, request: HttpRequest) -> bool:
        """Anomalies are edited by nobody; who may change them may say what they are."""
        return request.user.has_perm("analytics.change_anomaly")

    @admin.action(description="Resolve selected anomalies", permissions=["word"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Anomaly]) -> None:
        self._set(request, queryset, AnomalyStatus.RESOLVED)

    @admin.action(description="Dismiss selected anomalies", permissions=["word"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[Anomaly]) -> None:
        self._set(request, queryset, AnomalyStatus.DISMISSED)

    @admin.action(description="Reopen selected anomalies", permissions=["word"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[Anomaly]) -> None:
        self._set(request, queryset, AnomalyStatus.ACTIVE)

    def _set(self, request: HttpRequest, found: QuerySet[Anomaly], status: AnomalyStatus) -> None:
        now = timezone.now()
        with transaction.atomic():
            anomalies = list(found.select_for_update(of=["self"]))
            for anomaly in anomalies:
                anomaly.set_status(status, request.user.get_username(), now)
                self.log_change(request, anomaly, f"Now {status}.")
        self.message_user(request, f"{len(anomalies)} {status}.", messages.SUCCESS)

    @admin.display(ordering="expected_value")
    def expected(self, anomaly: Anomaly) -> str:
        return plain(anomaly.expected_value)

    @admin.display(ordering="actual_value")
    def actual(self, anomaly: Anomaly) -> str:
        return plain(anomaly.actual_value)


def add_spend(entities: Iterable[Any]) -> None:
    """Ask for the spend of all of them at once, or once an account where there are several."""
    by_account: dict[int, list[Any]] = defaultdict(list)
    for entity in entities:
        by_account[entity.account_id].append(entity)
    for account_id, theirs in by_account.items():
        spends = entity_spend(account_id, [entity.pk for entity in theirs])
        for entity in theirs:
            entity.spent = spends[entity.pk]
