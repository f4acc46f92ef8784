"""Every address of the product."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, register_converter
from django.urls.converters import StringConverter
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from analytics.accuracy import AccuracyView
from analytics.anomalies.views import AnomalyView
from analytics.entities import EntitiesView
from analytics.events import CountedEventsView
from analytics.views import (
    AnomaliesView,
    CompareView,
    CostsView,
    ModelsView,
    SessionsView,
    TimeseriesView,
    TopEntitiesView,
)
from apikeys.problems import Problem
from apikeys.views import MeView
from config.admin import login
from config.errors import error_response
from config.health import healthz, readyz
from config.metrics import metrics
from config.openapi.views import schema
from events.price_views import PricesView, QuoteView
from events.views import EventView


class EventId(StringConverter):
    """Any text, also with slashes and line breaks."""

    regex = "(?s:.+)"


register_converter(EventId, "event_id")

View = Callable[..., HttpResponseBase]


def read_only(view: View) -> View:
    """`view` for GET and HEAD. Others get a 405 as JSON, not Django's page about CSRF."""

    @csrf_exempt
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in {"GET", "HEAD"}:
            return view(request, *args, **kwargs)
        detail = f"Method {request.method} is not allowed."
        return error_response(request, Problem(405, detail), {"Allow": "GET, HEAD"})

    return checked


analytics: list[URLPattern] = [
    path("costs", CostsView.as_view()),
    path("costs/accuracy", AccuracyView.as_view()),
    path("costs/timeseries", TimeseriesView.as_view()),
    path("models", ModelsView.as_view()),
    path("entities/top", TopEntitiesView.as_view()),
    path("sessions", SessionsView.as_view()),
    path("anomalies", AnomaliesView.as_view()),
    path("anomalies/<str:anomaly_id>", AnomalyView.as_view()),
    path("compare", CompareView.as_view()),
]

v1: list[URLPattern | URLResolver] = [
    path("me", MeView.as_view()),
    path("events", CountedEventsView.as_view()),
    path("events/<event_id:event_id>", EventView.as_view()),
    path("entities", EntitiesView.as_view()),
    path("prices", PricesView.as_view()),
    path("prices/quote", QuoteView.as_view()),
    path("analytics/", include(analytics)),
]

urlpatterns = [
    path("v1/", include(v1)),
    path("api/v2/analytics/", include("analytics.v2.views")),
    path("admin", read_only(RedirectView.as_view(url="/admin/"))),
    path("admin/login/", login),
    path("admin/", admin.site.urls),
    path("schema", read_only(schema), name="schema"),
    path("docs", read_only(SpectacularSwaggerSplitView.as_view())),
    path("healthz", read_only(healthz)),
    path("readyz", read_only(readyz)),
    path("metrics", read_only(metrics)),
]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.failed"
