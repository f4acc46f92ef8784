"""The parameters of the analytics endpoints."""

from typing import Any
from zoneinfo import ZoneInfo

from rest_framework import serializers

from analytics.models import AnomalyStatus, AnomalyType
from analytics.periods import INTERVALS, Period
from analytics.query import is_dimension
from events.params import (
    MAX_OFFSET,
    DayField,
    NameField,
    Params,
    TagsField,
    ZoneField,
    comma_separated,
)

MAX_HOURLY_DAYS = 92
UTC_ZONE = ZoneInfo("UTC")


class PeriodParams(Params):
    """A period of calendar days, both included, in a time zone."""

    start_date = DayField(help_text="First day, YYYY-MM-DD.")
    end_date = DayField(help_text="Last day, included, YYYY-MM-DD.")
    timezone = ZoneField(default=UTC_ZONE, help_text="IANA name; days are days there.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["start_date"] > attrs["end_date"]:
            raise serializers.ValidationError(
                {"start_date": "`start_date` lies after `end_date`."}, code="out_of_order"
            )
        attrs["period"] = Period.of_days(attrs["start_date"], attrs["end_date"], attrs["timezone"])
        return attrs


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
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MAX_OFFSET)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=MAX_OFFSET)


class TimeseriesParams(PeriodParams, FilterParams):
    interval = serializers.ChoiceField(choices=INTERVALS, default="day")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs["interval"] == "hour" and attrs["period"].days > MAX_HOURLY_DAYS:
            raise serializers.ValidationError(
                {"interval": f"Hours are answered for at most {MAX_HOURLY_DAYS} days."},
                code="out_of_range",
            )
        return attrs


class ModelsParams(PeriodParams, FilterParams):
    pass


class TopEntitiesParams(PeriodParams, FilterParams):
    limit = serializers.IntegerField(required=False, min_value=1, max_value=100)
    order = serializers.ChoiceField(choices=["desc", "asc"], default="desc")


class SessionsParams(PeriodParams, FilterParams):
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=MAX_OFFSET)


class CompareParams(FilterParams):
    """Two periods; a change is the first less the second."""

    period1_start = DayField()
    period1_end = DayField()
    period2_start = DayField()
    period2_end = DayField()
    timezone = ZoneField(default=UTC_ZONE)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        faults = {}
        for name in ("period1", "period2"):
            start, end = attrs[f"{name}_start"], attrs[f"{name}_end"]
            attrs[name] = Period.of_days(start, end, attrs["timezone"])
            if start > end:
                faults[f"{name}_start"] = f"`{name}_start` lies after `{name}_end`."
        if faults:
            raise serializers.ValidationError(faults, code="out_of_order")
        return attrs


class AnomaliesParams(PeriodParams):
    entity_type = NameField(required=False)
    entity_id = NameField(required=False)
    status = serializers.ChoiceField(choices=AnomalyStatus.choices, required=False)
    type = serializers.ChoiceField(choices=AnomalyType.choices, required=False)
