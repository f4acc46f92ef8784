"""`/v1/prices`: what holds for an account, prices of its own, and what an event would cost."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar

import django_filters
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.params import Address, read_params
from apikeys.problems import Problem
from apikeys.views import AccountView
from events.body import read_body, read_json
from events.lists import ListView, ParamFilter
from events.models import CostSource
from events.params import InstantField, NameField
from events.price_models import Price, ServiceTier, Unit
from events.price_schema import parse_price
from events.pricing.breakdown import PRICE_COLUMNS, breakdown, price_row
from events.pricing.costs import costs
from events.pricing.versions import add
from events.rules import FieldError
from events.schema import SERVICE_TIERS, InvalidEvent, NewEvent
from events.tokens import parts

MOST_PRICES = 1000
NO_LIST = f"`prices` must be a list of 1 to {MOST_PRICES} prices."


class PriceFilter(django_filters.FilterSet):
    """Filters of `GET /v1/prices`."""

    provider = ParamFilter(rule=NameField(), lookup_expr="iexact")
    model = ParamFilter(rule=NameField(), lookup_expr="iexact")
    unit = ParamFilter(rule=serializers.ChoiceField(Unit.choices))
    service_tier = ParamFilter(
        rule=serializers.ChoiceField(list(SERVICE_TIERS)), method="of_service_tier"
    )
    at = ParamFilter(rule=InstantField(), method="valid_at")

    def of_service_tier(self, queryset: QuerySet[Price], name: str, value: str) -> QuerySet[Price]:
        """By the word for it."""
        return queryset.filter(service_tier=SERVICE_TIERS[value])

    def valid_at(self, queryset: QuerySet[Price], name: str, value: datetime) -> QuerySet[Price]:
        """The versions that hold at an instant."""
        return queryset.filter(
            Q(valid_from=None) | Q(valid_from__lte=value),
            Q(valid_to=None) | Q(valid_to__gt=value),
        )


class PricesView(ListView):
    """Price versions: everybody's and the account's own; add some of its own."""

    scopes: ClassVar[dict[str, str]] = {"GET": "read", "POST": "manage"}
    name = "prices"
    columns = PRICE_COLUMNS
    filterset = PriceFilter

    def queryset(self) -> QuerySet[Price]:
        seen = Price.objects.filter(Q(account=None) | Q(account_id=self.account.pk))
        return seen.exclude(valid_from=F("valid_to")).order_by(
            *("provider", "model", "unit", "service_tier", "context_over", "daily_from"),
            F("account_id").asc(nulls_last=True),
            F("valid_from").asc(nulls_first=True),
            "pk",
        )

    def rows(self, found: Iterable[Price]) -> Iterator[dict[str, Any]]:
        return map(price_row, found)

    def post(self, request: Request) -> Response:
        read_params(Address, request)
        body = read_json(request._request)
        is_list = isinstance(body, dict) and "prices" in body
        sent = self._parsed(body["prices"], "prices") if is_list else self._parsed([body])
        rows = [price_row(price) for price in add(sent, timezone.now())]
        return Response({"data": rows} if is_list else rows[0], status=201)

    def _parsed(self, items: Any, *under: str) -> list[Price]:
        """The prices, all of them. Raises Problem 422 that names every fault."""
        if not isinstance(items, list) or not 1 <= len(items) <= MOST_PRICES:
            raise _refused([FieldError("", "invalid", NO_LIST).under(*under)])
        found, faults = [], []
        for index, item in enumerate(items):
            errors: list[FieldError] = []
            found.append(parse_price(item, self.account.pk, errors))
            where = (*under, str(index)) if under else ()
            faults += [error.under(*where) for error in errors]
        if faults:
            raise _refused(faults)
        return [price for price in found if price is not None]


class QuoteView(AccountView):
    """What an event would cost, without recording it."""

    scopes: ClassVar[dict[str, str]] = {"POST": "read"}

    def post(self, request: Request) -> Response:
        read_params(Address, request)
        body = read_body(request._request, timezone.now())
        event = body.items[0] if body.items and not body.is_batch else None
        if event is None:
            raise _refused([FieldError("", "invalid", "Send one event.").under()])
        if isinstance(event, InvalidEvent):
            raise _refused([error.under() for error in event.errors])
        return Response(_quote(self.account.pk, event))


def _quote(account_id: int, event: NewEvent) -> dict[str, Any]:
    (cost,) = costs(account_id, [event])
    is_reported = cost.source == CostSource.REPORTED
    return {
        "provider": event.provider,
        "model": event.model,
        "timestamp": event.timestamp,
        "service_tier": ServiceTier(event.service_tier).label,
        "input_tokens": event.input_tokens,
        "output_tokens": event.output_tokens,
        "cost_usd": cost.usd,
        "cost_source": CostSource(cost.source).name.lower(),
        "computed_cost_usd": cost.computed if is_reported else cost.usd,
        "breakdown": breakdown(parts(event), cost.rate_set_id),
    }


def _refused(errors: list[dict[str, str]]) -> Problem:
    return Problem(422, " ".join(error["detail"] for error in errors), errors=errors)
