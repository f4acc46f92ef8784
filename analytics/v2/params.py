"""The parameters of the second surface: a relative or an absolute period, series, entities."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.fields import empty

from analytics.params import UTC_ZONE
from analytics.periods import Period
from apikeys.params import Address, AnyField, Checked, Fault, Several, fault
from events.days import DAY
from events.filters import asked_span
from events.params import CountField, MomentField, NameField

DEFAULT_DAYS = 30
MAX_DAYS = 3650
DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
BUCKET_TYPES = ("day", "week", "month")
OWN = {"fixed": {"days"}, "range": {"start_date", "end_date"}}
"""The parameters that only one `type` has; the other one ignores them."""


class NamesField(NameField, Several):
    """One or several names, each by a parameter of its own."""

    def run_validation(self, data: Any = empty) -> tuple[str, ...]:
        read = super().run_validation
        return tuple(dict.fromkeys(map(read, [data] if data is empty else data)))


class IsoMomentField(MomentField):
    """A day or a time in ISO format; a time without an offset is UTC."""

    default_error_messages = {"format": "Write a date as YYYY-MM-DD or a time as RFC 3339."}

    def to_internal_value(self, data: str) -> date | datetime:
        has_offset = re.search(r"([Zz]|[+-]\d\d:\d\d)$", data)
        return super().to_internal_value(data if "T" not in data or has_offset else f"{data}Z")


class PeriodParams(Address):
    """`fixed`: the UTC days from `days` ago through today; `range`: from one moment to another."""

    type = serializers.ChoiceField(choices=list(OWN), default="fixed")
    days = CountField(default=DEFAULT_DAYS, min_value=1, max_value=MAX_DAYS)
    start_date = IsoMomentField()
    end_date = IsoMomentField()

    def meant(self, given: QueryDict) -> Mapping[str, AnyField]:
        ignored = OWN["fixed"] if given.get("type") == "range" else OWN["range"]
        return {name: field for name, field in self.fields.items() if name not in ignored}

    def faults_between(self, good: Checked) -> Iterator[Fault]:
        since, until = asked_span(good)
        if since and until and since >= until:
            detail = "`start_date` does not lie before `end_date`."
            yield fault("start_date", "out_of_order", detail)


class SeriesParams(PeriodParams):
    time_series = serializers.BooleanField(default=False)
    bucket_type = serializers.ChoiceField(choices=BUCKET_TYPES, default="day")


class TopParams(PeriodParams):
    limit = CountField(default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT)


class TopSeriesParams(SeriesParams, TopParams):
    pass


def with_ids(base: type[Address], noun: str) -> type[Address]:
    """`base` for questions about entities: with `agent_id`, say, which may be repeated."""
    fields = {"__module__": __name__, f"{noun}_id": NamesField(required=False)}
    return type(f"{noun.title()}{base.__name__}", (base,), fields)


def asked_period(asked: Checked, now: datetime) -> Period:
    """The period that the parameters mean at `now`."""
    if asked["type"] == "fixed":
        today = now.astimezone(UTC_ZONE).date()
        return Period.of_days(today - asked["days"] * DAY, today, UTC_ZONE)
    since, until = asked_span(asked)
    assert since
    assert until
    return Period.between(since, until)
