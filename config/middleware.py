"""What every request goes through: it gets a name, is measured, and its answer a policy."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from config import logs, metrics

log = logging.getLogger(__name__)

ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")
Handler = Callable[[HttpRequest], HttpResponse]

# Swagger UI sets styles in its markup; no page here needs a script in its own.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class RequestId:
    """Sets `request.request_id`, the caller's `X-Request-ID` if it is decent, and returns it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "")
        name = sent if ACCEPTABLE.fullmatch(sent) else uuid.uuid4().hex
        request.request_id = name  # type: ignore[attr-defined]
        logs.request_id.set(name)
        response = self.get_response(request)
        response["X-Request-ID"] = name
        return response


class Measured:
    """Counts and times requests by route; not by address, which may hold what clients sent."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        metrics.requests()  # before the fork, so that all processes share it

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - started
        route = request.resolver_match.route if request.resolver_match else ""
        metrics.observe(route, response.status_code, seconds)
        if log.isEnabledFor(logging.DEBUG):
            facts = {"method": request.method, "route": route, "status": response.status_code}
            log.debug("Answered", extra={"facts": facts | {"ms": round(seconds * 1000, 1)}})
        return response


class ContentSecurity:
    """Tells browsers to run no script but ours, whatever text a page shows."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response
