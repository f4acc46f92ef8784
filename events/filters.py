"""What a list of events can be filtered by."""

from datetime import date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import django_filters
from django import forms
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from apikeys.authentication import Credential
from events.days import DAY, day_start
from events.lists import ParamFilter
from events.models import Event
from events.params import MomentField, NameField, TagsField, ZoneField
from events.session_rollup import session_span

Events = QuerySet[Event]
OUT_OF_ORDER = "`start_date` lies after `end_date`."


class EventForm(forms.Form):
    """What can be wrong with the parameters together."""

    def clean(self) -> None:
        since, until = asked_span(self.cleaned_data)
        if since and until and since >= until and self.cleaned_data["end_date"] != since:
            self.add_error("start_date", forms.ValidationError(OUT_OF_ORDER, "out_of_order"))


class EventFilter(django_filters.FilterSet):
    """Filters of `GET /v1/events`; a date is a day in `timezone`, an end date is included."""

    class Meta:
        form = EventForm

    start_date = ParamFilter(rule=MomentField(), method="keep")
    end_date = ParamFilter(rule=MomentField(), method="keep")
    timezone = ParamFilter(rule=ZoneField(), method="keep")
    entity_type = ParamFilter(rule=NameField(), field_name="entity__entity_type")
    entity_id = ParamFilter(rule=NameField(), field_name="entity__entity_id")
    model = ParamFilter(rule=NameField(), field_name="model__model")
    provider = ParamFilter(rule=NameField(), field_name="model__provider")
    session_id = ParamFilter(rule=NameField(), method="of_session")
    tags = ParamFilter(rule=TagsField(), method="having_tags")
    success = ParamFilter(rule=serializers.BooleanField())

    def filter_queryset(self, queryset: Events) -> Events:
        found: Events = super().filter_queryset(queryset)
        since, until = asked_span(self.form.cleaned_data)
        if since:
            found = found.filter(timestamp__gte=since)
        if until:
            found = found.filter(timestamp__lt=until)
        return found

    def keep(self, queryset: Events, name: str, value: Any) -> Events:
        """For parameters that mean something only together (see filter_queryset)."""
        return queryset

    def of_session(self, queryset: Events, name: str, value: str) -> Events:
        """The log has no index on sessions, but it is known when each one was."""
        credential = cast(Credential, cast(Request, self.request).auth)
        span = session_span(credential.account.pk, value)
        if span is None:
            return queryset.none()
        return queryset.filter(session_id=value, timestamp__range=span)

    def having_tags(self, queryset: Events, name: str, value: list[tuple[str, str]]) -> Events:
        """Every one of the (key, value) pairs."""
        for key, wanted in value:
            queryset = queryset.filter(tag_set__tags__contains={key: wanted})
        return queryset


def asked_span(asked: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    """[since, until) of the parameters; None where a side is open or was not readable."""
    zone = asked.get("timezone") or ZoneInfo("UTC")
    start, end = asked.get("start_date"), asked.get("end_date")
    return _instant(start, zone), _instant(end, zone, days=1)


def _instant(moment: date | datetime | None, zone: ZoneInfo, days: int = 0) -> datetime | None:
    """A time as it is; a date as the instant at which it begins in `zone`, `days` later."""
    if moment is None:
        return None
    return moment if isinstance(moment, datetime) else day_start(moment + days * DAY, zone)
