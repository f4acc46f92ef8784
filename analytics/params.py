"""The parameters of the analytics endpoints."""

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from rest_framework import serializers

from analytics.models import AnomalyStatus, AnomalyType
from analytics.periods import INTERVALS, Period
from analytics.query import is_dimension
from apikeys.params import Checked, Fault, fault
from events.params import (
    MAX_OFFSET,
    CountField,
    DayField,
    NameField,
    Params,
    TagsField,
    ZoneField,
    comma_separated,
)

MAX_HOURLY_DAYS = 92
UTC_ZONE = ZoneInfo("UTC")
COMPARED = ("period1", "period2")


def out_of_order(good: Checked, start: str, end: str) -> Iterator[Fault]:
    """A fault if the day `start` lies after the day `end`."""
    if {start, end} <= good.keys() and good[start] > good[end]:
        yield fault(start, "out_of_order", f"`{start}` lies after `{end}`.")


def period_of(good: Checked, start: str, end: str) -> Period:
    """The days from `start` to `end` in the time zone asked for."""
    return Period.of_days(good[start], good[end], good["timezone"])


class PeriodParams(Params):
    """A period of calendar days, both included, in a time zone."""

    start_date = DayField(help_text="First day, YYYY-MM-DD.")
    end_date = DayField(help_text="Last day, included, YYYY-MM-DD.")
    timezone = ZoneField(default=UTC_ZONE, help_text="IANA name; days are days there.")

    def faults_between(self, good: Checked) -> Iterator[Fault]:
        yield from out_of_order(good, "start_date", "end_date")

    def complete(self, good: Checked) -> Checked:
        return good | {"period": period_of(good, "start_date", "end_date")}


class FilterParams(Params):
    """The filters that every analytics endpoint takes."""

    entity_type = NameField(required=False)
    entity_id = NameField(required=False)
    model = NameField(required=False)
    provider = NameField(required=False)
    tags = TagsField(required=False, help_text="key:value,key:value, all of them.")


class GroupByField(NameField):
    """Dimensions, comma-separated; a comma in a tag's key is written `\\,`."""

    default_error_messages = {
        "unknown": "Cannot group by `{name}`: use entity, entity_type, provider, model, hour, day,"
        " week, month or tags.KEY.",
        "malformed": "In the key of a tag write a comma as \\, and \\ as \\\\.",
        "times": "Group by one of hour, day, week and month at most.",
    }

    def to_internal_value(self, data: Any) -> tuple[str, ...]:  # type: ignore[override]
        names = comma_separated(super().to_internal_value(data))
        if names is None:
            self.fail("malformed")
        for name in names:
            if not is_dimension(name):
                self.fail("unknown", name=name)
        if len(set(names) & set(INTERVALS)) > 1:
            self.fail("times")
        return tuple(dict.fromkeys(names))


class CostsParams(PeriodParams, FilterParams):
    group_by = GroupByField(required=False, help_text="One or several, comma-separated.")
    limit = CountField(required=False, min_value=1, max_value=MAX_OFFSET)
    offset = CountField(default=0, min_value=0, max_value=MAX_OFFSET)


class TimeseriesParams(PeriodParams, FilterParams):
    interval = serializers.ChoiceField(choices=INTERVALS, default="day")

    def faults_between(self, good: Checked) -> Iterator[Fault]:
        yield from super().faults_between(good)
        is_hourly = good.get("interval") == "hour" and {"start_date", "end_date"} <= good.keys()
        if is_hourly and (good["end_date"] - good["start_date"]).days >= MAX_HOURLY_DAYS:
            detail = f"Hours are answered for at most {MAX_HOURLY_DAYS} days."
            yield fault("interval", "out_of_range", detail)


class ModelsParams(PeriodParams, FilterParams):
    pass


class TopEntitiesParams(PeriodParams, FilterParams):
    limit = CountField(required=False, min_value=1, max_value=100)
    order = serializers.ChoiceField(choices=["desc", "asc"], default="desc")


class SessionsParams(PeriodParams, FilterParams):
    limit = CountField(required=False, min_value=1, max_value=1000)
    offset = CountField(default=0, min_value=0, max_value=MAX_OFFSET)


class CompareParams(FilterParams):
    """Two periods; a change is the first less the second."""

    period1_start = DayField()
    period1_end = DayField()
    period2_start = DayField()
    period2_end = DayField()
    timezone = ZoneField(default=UTC_ZONE)
    explain = serializers.BooleanField(default=False)

    def faults_between(self, good: Checked) -> Iterator[Fault]:
        for name in COMPARED:
            yield from out_of_order(good, f"{name}_start", f"{name}_end")

    def complete(self, good: Checked) -> Checked:
        return good | {name: period_of(good, f"{name}_start", f"{name}_end") for name in COMPARED}


class AnomaliesParams(PeriodParams):
    entity_type = NameField(required=False)
    entity_id = NameField(required=False)
    status = serializers.ChoiceField(choices=AnomalyStatus.choices, required=False)
    type = serializers.ChoiceField(choices=AnomalyType.choices, required=False)
