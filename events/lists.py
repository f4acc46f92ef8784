"""Lists: a page of rows as JSON, or all of them as CSV, filtered by django-filter."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import django_filters
from django import forms
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.params import check_params, code_and_detail, fault, refuse
from apikeys.views import AccountView
from events.export import csv_response
from events.params import PageParams
from events.snapshot import snapshot

DEFAULT_LIMIT = 100
Row = dict[str, Any]


class ParamField(forms.Field):
    """A form field that checks by the rule of a parameter, so that each rule is written once."""

    def __init__(self, *, rule: serializers.Field[Any, Any, Any, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rule = rule

    def clean(self, value: Any) -> Any:
        if value is None:
            return None
        try:
            return self.rule.run_validation(value)
        except serializers.ValidationError as error:
            code, detail = code_and_detail(error)
            raise forms.ValidationError(detail, code) from error


class ParamFilter(django_filters.Filter):
    """Filters by a parameter: `ParamFilter(rule=NameField(), field_name="model__model")`."""

    field_class = ParamField


class ListView(AccountView):
    """A list of an account's rows."""

    name: ClassVar[str]
    columns: ClassVar[list[str]]
    filterset: ClassVar[type[django_filters.FilterSet]]

    def get(self, request: Request) -> HttpResponseBase:
        asked, faults = check_params(PageParams, request, also=self.filterset.base_filters)
        filters = self.filterset(request.query_params, queryset=self.queryset(), request=request)
        refuse(faults + _filter_faults(filters))
        limit, offset = asked.get("limit"), asked["offset"]
        if asked["format"] == "csv":
            rows = self._stream(filters, limit, offset)
            return csv_response(f"{self.name}.csv", self.columns, rows)
        with snapshot():
            return Response(self._page(filters, limit or DEFAULT_LIMIT, offset))

    def queryset(self) -> QuerySet[Any]:
        """The account's rows, ordered."""
        raise NotImplementedError

    def rows(self, found: Iterable[Any]) -> Iterator[Row]:
        """The rows of the answer. Called inside a snapshot."""
        raise NotImplementedError

    def total(self, filters: django_filters.FilterSet) -> int:
        """How many rows match, whatever the page."""
        return int(filters.qs.count())

    def _page(self, filters: django_filters.FilterSet, limit: int, offset: int) -> Row:
        found, total = filters.qs, self.total(filters)
        page = {
            "total": total,
            "limit": limit,
            "offset": offset,
            "has_more": offset + limit < total,
        }
        return {"data": list(self.rows(found[offset : offset + limit])), "pagination": page}

    def _stream(
        self, filters: django_filters.FilterSet, limit: int | None, offset: int
    ) -> Iterator[Row]:
        end = None if limit is None else offset + limit
        with snapshot():  # also around `qs`: a filter may look something up
            yield from self.rows(filters.qs[offset:end].iterator(chunk_size=1000))


def _filter_faults(filters: django_filters.FilterSet) -> list[dict[str, str]]:
    return [
        fault(name, error["code"], error["message"])
        for name, errors in filters.form.errors.get_json_data().items()
        for error in errors
    ]
