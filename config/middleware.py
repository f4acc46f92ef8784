"""Gives each request a name that its answer, its errors and its log lines share."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Sets `request.request_id`, the caller's `X-Request-ID` if it is decent, and returns it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "")
        request.request_id = sent if ACCEPTABLE.fullmatch(sent) else uuid.uuid4().hex  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response
