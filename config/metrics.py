"""What runs here, in numbers: /metrics, in the text format of Prometheus."""

import hmac
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import URLResolver, get_resolver

from apikeys.problems import Problem
from config.errors import DATABASE_ERRORS, error_response
from events.tally import OUTCOMES, Tally

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; the upper bounds of the histogram's buckets, with one beyond."""
STATUSES = ("2xx", "3xx", "4xx", "5xx")
OTHER = "other"
SURFACES = ("v1/", "api/v2/")

TAIL_SQL = """
SELECT count(*), coalesce(sum(events), 0),
       greatest(0, coalesce(extract(epoch FROM now() - min(received_at)), 0))
FROM events_pendingbatch
"""
TAIL = {
    "costprism_tail_batches": "Batches that no rollup holds yet.",
    "costprism_tail_events": "Events that no rollup holds yet.",
    "costprism_tail_age_seconds": "Age of the oldest of them: how far the rollups lag behind.",
}


@cache
def requests() -> Tally[tuple[str, object]]:
    """By route: how many requests of each status, how many in each bucket, and seconds in all.

    Make it before the web processes are forked.
    """
    cells = (*STATUSES, *BOUNDS, "beyond", "seconds")
    return Tally([(route, cell) for route in routes() for cell in cells])


@cache
def routes() -> tuple[str, ...]:
    """The addresses of the API, with the names of what is in them."""
    return (*_walk(get_resolver().url_patterns, ""), OTHER)


def observe(route: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    known = route if route in routes() else OTHER
    bucket = next((bound for bound in BOUNDS if seconds <= bound), "beyond")
    for cell, amount in ((f"{status // 100}xx", 1), (bucket, 1), ("seconds", seconds)):
        requests().add((known, cell), amount)


def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers, for who has the token; 404 where none is configured."""
    token = settings.METRICS_TOKEN
    if not token:
        return error_response(request, Problem(404, "There is nothing at this address."))
    sent = request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
        challenge = {"WWW-Authenticate": "Bearer"}
        return error_response(request, Problem(401, "Send the METRICS_TOKEN."), challenge)
    text = "\n".join([*_outcomes(), *_requests(), *_tail(), ""])
    return HttpResponse(text, "text/plain; version=0.0.4; charset=utf-8")


def _outcomes() -> Iterator[str]:
    yield from _head("costprism_events_total", "counter", "Events sent, by what became of them.")
    for outcome, count in OUTCOMES.totals().items():
        yield f'costprism_events_total{{outcome="{outcome}"}} {count:g}'


def _requests() -> Iterator[str]:
    totals = requests().totals()
    yield from _head("costprism_requests_total", "counter", "Requests, by route and status.")
    for route in routes():
        for status in STATUSES:
            labels = f'route="{route}",status="{status}"'
            yield f"costprism_requests_total{{{labels}}} {totals[route, status]:.0f}"
    yield from _head("costprism_request_seconds", "histogram", "Time until an answer began.")
    for route in routes():
        counts = list(accumulate(totals[route, bound] for bound in (*BOUNDS, "beyond")))
        for bound, count in zip((*BOUNDS, "+Inf"), counts, strict=True):
            labels = f'route="{route}",le="{bound}"'
            yield f"costprism_request_seconds_bucket{{{labels}}} {count:.0f}"
        yield f'costprism_request_seconds_sum{{route="{route}"}} {totals[route, "seconds"]:.6f}'
        yield f'costprism_request_seconds_count{{route="{route}"}} {counts[-1]:.0f}'


def _tail() -> Iterator[str]:
    """Nothing while the database does not answer; what was counted here can still be read."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(TAIL_SQL)
            row = cursor.fetchone()
    except DATABASE_ERRORS:
        row = None
    yield from _head("costprism_database_up", "gauge", "Whether the database answers.")
    yield f"costprism_database_up {int(row is not None)}"
    for (name, about), value in zip(TAIL.items(), row or (), strict=False):
        yield from _head(name, "gauge", about)
        yield f"{name} {value:f}"


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"


def _walk(patterns: list[Any], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        elif path.startswith(SURFACES):
            yield path
