"""The analytics endpoints: parse, ask, answer."""

from collections.abc import Iterator
from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import answers, params
from analytics.anomalies.answers import ANOMALY_KEYS, anomaly_rows, explanation
from analytics.periods import Period
from analytics.query import Filters, Query
from analytics.sessions import Session
from apikeys.params import Checked, read_params
from apikeys.views import AccountView
from events.export import csv_response
from events.params import Params
from events.snapshot import snapshot

DEFAULT_TOP = 10
DEFAULT_SESSIONS = 100


class AnalyticsView(AccountView):
    """One question. Subclasses give its columns and rows, and the JSON body around the rows."""

    name: ClassVar[str]
    params: ClassVar[type[Params]]

    def get(self, request: Request) -> HttpResponseBase:
        asked = read_params(self.params, request)
        if asked["format"] == "csv":
            return csv_response(f"{self.name}.csv", self.columns(asked), self._csv_rows(asked))
        with snapshot():
            return Response(self.body(asked))

    def columns(self, asked: Checked) -> list[str]:
        """The header of the CSV: the keys of a row."""
        raise NotImplementedError

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        """The rows of the answer. Call it inside a snapshot."""
        raise NotImplementedError

    def body(self, asked: Checked) -> answers.Row:
        """The JSON answer. Call it inside a snapshot."""
        return {"data": list(self.rows(asked))}

    def query(self, asked: Checked, **more: Any) -> Query:
        """The Query of the account, the period and the filters that were asked."""
        period, filters = asked["period"], Filters.of(asked)
        return Query(account_id=self.account.pk, period=period, filters=filters, **more)

    def _csv_rows(self, asked: Checked) -> Iterator[answers.Row]:
        with snapshot():
            yield from self.rows(asked)


class CostsView(AnalyticsView):
    name = "costs"
    params = params.CostsParams

    def columns(self, asked: Checked) -> list[str]:
        return answers.costs_columns(self._grouped(asked))

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        return answers.costs_rows(self._grouped(asked))

    def body(self, asked: Checked) -> answers.Row:
        return answers.costs_body(self._grouped(asked))

    def _grouped(self, asked: Checked) -> Query:
        page = {"limit": asked.get("limit"), "offset": asked["offset"]}
        return self.query(asked, dimensions=asked.get("group_by", ()), **page)


class TimeseriesView(AnalyticsView):
    name = "timeseries"
    params = params.TimeseriesParams

    def columns(self, asked: Checked) -> list[str]:
        return ["timestamp", "cost", "events"]

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        return answers.timeseries_rows(self.query(asked), asked["interval"])

    def body(self, asked: Checked) -> answers.Row:
        return super().body(asked) | {"interval": asked["interval"]}


class ModelsView(AnalyticsView):
    name = "models"
    params = params.ModelsParams

    def columns(self, asked: Checked) -> list[str]:
        return ["model", "provider", *answers.MEASURE_KEYS, "percentage_of_total"]

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        return answers.models_rows(self.query(asked))


class TopEntitiesView(AnalyticsView):
    name = "entities-top"
    params = params.TopEntitiesParams

    def columns(self, asked: Checked) -> list[str]:
        return ["entity_type", "entity_id", "total_cost", "total_events", "rank"]

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        limit, ascending = _limit(asked, DEFAULT_TOP), asked["order"] == "asc"
        return answers.top_rows(self.query(asked, limit=limit, ascending=ascending))


class SessionsView(AnalyticsView):
    name = "sessions"
    params = params.SessionsParams

    def columns(self, asked: Checked) -> list[str]:
        return list(Session._fields)

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        return answers.sessions_rows(self._page(asked))

    def body(self, asked: Checked) -> answers.Row:
        return answers.sessions_body(self._page(asked))

    def _page(self, asked: Checked) -> Query:
        return self.query(asked, limit=_limit(asked, DEFAULT_SESSIONS), offset=asked["offset"])


class CompareView(AnalyticsView):
    name = "compare"
    params = params.CompareParams

    def columns(self, asked: Checked) -> list[str]:
        return ["row", "start", "end", "total_cost", "total_events"]

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        return iter(answers.comparison_rows(self.body(asked)))

    def body(self, asked: Checked) -> answers.Row:
        query, periods = self.query(asked | {"period": asked["period1"]}), self._periods(asked)
        explained = explanation(query, *periods) if asked["explain"] else {}
        return answers.comparison(query, *periods) | explained

    def _periods(self, asked: Checked) -> tuple[Period, Period]:
        return asked["period1"], asked["period2"]


def _limit(asked: Checked, default: int) -> int | None:
    """A CSV has all the rows unless a limit is asked for."""
    limit: int | None = asked.get("limit", None if asked["format"] == "csv" else default)
    return limit


class AnomaliesView(AnalyticsView):
    name = "anomalies"
    params = params.AnomaliesParams

    def columns(self, asked: Checked) -> list[str]:
        return ANOMALY_KEYS

    def rows(self, asked: Checked) -> Iterator[answers.Row]:
        return anomaly_rows(self.account.pk, asked)
