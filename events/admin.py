"""The admin of the log, read-only and fast whatever its size, and of the models that it names."""

import json
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from apikeys.admin import ReadOnly
from apikeys.models import Account
from events import price_admin  # noqa: F401 (registers the others)
from events.identity import key_of
from events.models import Entity, Event, EventKey
from events.money import plain

MAX_PAGES = 100
ACCOUNT = "account__id__exact"
ENTITY = "entity"


class Newest(ChangeList):
    """The newest rows of the log, a page at a time; nothing is counted or sorted.

    Pages end at MAX_PAGES: what lies deeper is found by account, entity or id.
    """

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        # Each is the order of an index. By batch, an account that has sent nothing for long would
        # be looked for among everybody's events (4 million: 1.9 s instead of 2 ms).
        by_time = ["-timestamp", "-id"]
        narrowed = ACCOUNT in self.params or ENTITY in self.params
        return by_time if narrowed else ["-batch_id", *by_time]

    def get_results(self, request: HttpRequest) -> None:
        self.page_num = min(max(self.page_num, 1), MAX_PAGES)
        start = (self.page_num - 1) * self.list_per_page
        rows = list(self.queryset[start : start + self.list_per_page + 1])
        self.result_list = rows[: self.list_per_page]
        self.result_count = self.full_result_count = len(self.result_list)
        self.previous_page = self.page_num - 1
        self.next_page = self.page_num + 1 if len(rows) > self.list_per_page else None
        self.is_last = self.page_num == MAX_PAGES
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:events_event_change", args=[quote(address(result))])


class AccountFilter(admin.RelatedFieldListFilter):
    """Django drops a filter of one choice, and what was asked of it with it."""

    def has_output(self) -> bool:
        return True


class EntityFilter(admin.SimpleListFilter):
    """One entity, as a link from it says: there are too many to list."""

    title = "entity"
    parameter_name = ENTITY

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        entity = self._entity()
        return [(str(entity.pk), str(entity))] if entity else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        entity = self._entity()
        if entity is None:
            return queryset
        return queryset.filter(account_id=entity.account_id, entity_id=entity.pk)

    def _entity(self) -> Entity | None:
        value = self.value()
        if value is None:
            return None
        try:
            return Entity.objects.get(pk=int(value))
        except (Entity.DoesNotExist, ValueError) as error:
            raise IncorrectLookupParameters from error


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = [
        "time",
        "received",
        "account",
        "model",
        "entity",
        "session_id",
        "input_tokens",
        "output_tokens",
        "price",
        "success",
    ]
    list_filter = [("account", AccountFilter), EntityFilter]
    list_per_page = 100
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER  # they count
    show_full_result_count = False
    search_fields = ["id"]
    search_help_text = "The whole id of an event."
    fields = [
        "id",
        "account",
        "time",
        "received",
        "model",
        "entity",
        "session_id",
        "tags",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "media_tokens",
        "service_tier",
        "price",
        "cost_source",
        "computed_cost",
        "rate_set",
        "latency_ms",
        "success",
        "error_type",
        "error_code",
    ]

    class Media:
        css = {"all": ["events/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        joined = "account", "model", "entity", "tag_set"
        return super().get_queryset(request).select_related(*joined)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Newest

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what an index answers."""
        return lookup in (ACCOUNT, ENTITY)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        return (having_id(queryset, search_term) if search_term else queryset), False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Event | None:
        """By its `address`: an id alone may be several accounts'."""
        account, _, event_id = object_id.partition(":")
        try:
            events = self.get_queryset(request).filter(account_id=int(account))
        except ValueError:
            return None
        return having_id(events, event_id).first()

    @admin.display(description="timestamp")
    def time(self, event: Event) -> str:
        return shown(event.timestamp)

    @admin.display(description="received batch")
    def received(self, event: Event) -> int:
        return event.batch_id

    @admin.display(description="cost (USD)")
    def price(self, event: Event) -> str:
        return "unpriced" if event.cost is None else plain(event.cost)

    @admin.display
    def tags(self, event: Event) -> str | None:
        return json.dumps(event.tag_set.tags, ensure_ascii=False) if event.tag_set else None


def shown(moment: datetime) -> str:
    """A UTC time with all of its microseconds, as the words of Django's own format have none."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".")


def address(event: Event) -> str:
    """What names an event among those of all accounts."""
    return f"{event.account_id}:{event.pk}"


def having_id(events: QuerySet[Event], event_id: str) -> QuerySet[Event]:
    """The events with this id, one an account at most; their keys say in which partitions."""
    accounts = Account.objects.values_list("pk", flat=True)
    keys = EventKey.objects.filter(digest__in=[key_of(pk, event_id) for pk in accounts])
    times = list(keys.values_list("timestamp", flat=True))
    return events.filter(id=event_id, account_id__in=list(accounts), timestamp__in=times)
