"""Every address of the product."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerView

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
from apikeys.views import MeView
from config.health import healthz, readyz
from config.openapi.views import schema
from events.views import EventView

analytics: list[URLPattern] = [
    path("costs", CostsView.as_view()),
    path("costs/timeseries", TimeseriesView.as_view()),
    path("models", ModelsView.as_view()),
    path("entities/top", TopEntitiesView.as_view()),
    path("sessions", SessionsView.as_view()),
    path("anomalies", AnomaliesView.as_view()),
    path("compare", CompareView.as_view()),
]

v1: list[URLPattern | URLResolver] = [
    path("me", MeView.as_view()),
    path("events", CountedEventsView.as_view()),
    path("events/<path:event_id>", EventView.as_view()),
    path("entities", EntitiesView.as_view()),
    path("analytics/", include(analytics)),
]

urlpatterns = [
    path("v1/", include(v1)),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("schema", schema, name="schema"),
    path("docs", SpectacularSwaggerView.as_view()),
    path("healthz", healthz),
    path("readyz", readyz),
]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.failed"
