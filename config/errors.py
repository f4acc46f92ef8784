"""Every error as JSON, never HTML or a stack trace: RFC 9457, or the second surface's envelope."""

import logging
from http import HTTPStatus
from math import ceil
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.defaults import page_not_found, permission_denied, server_error
from psycopg.errors import QueryCanceled, ReadOnlySqlTransaction
from psycopg_pool import PoolTimeout
from rest_framework.exceptions import APIException
from rest_framework.views import set_rollback

from apikeys.problems import Problem
from config.rendering import encode

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
# RFC 9110's names; older versions of Python have older ones.
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
ENVELOPE_PREFIX = "/api/v2/"
HTML_PREFIX = "/admin/"
DATABASE_ERRORS = (
    *(OperationalError, InterfaceError, PoolTimeout),
    *(psycopg.OperationalError, psycopg.InterfaceError),  # what Django does not translate
)


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's exception handler: whatever a view raised, as a JSON answer."""
    set_rollback()
    return error_response(context["request"], _problem(error), _headers(error))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    if request.path.startswith(HTML_PREFIX):
        return page_not_found(request, exception)
    return error_response(request, Problem(404, "There is nothing at this address."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    if request.path.startswith(HTML_PREFIX):
        return permission_denied(request, exception)
    return error_response(request, Problem(403, "This is not allowed."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a host that is not served, a malformed request."""
    return error_response(request, Problem(400, "The request is malformed."))


def failed(request: HttpRequest) -> HttpResponse:
    """Django's handler500: what was raised outside a view of the API."""
    if request.path.startswith(HTML_PREFIX):
        return server_error(request)
    return error_response(request, _unexpected())


def error_response(
    request: Any, problem: Problem, headers: dict[str, str] | None = None
) -> HttpResponse:
    """The answer for `problem`, in the form of the surface that was asked."""
    request_id = getattr(request, "request_id", None)
    if request.path.startswith(ENVELOPE_PREFIX):
        content_type, body = "application/json", envelope(problem)
    else:
        content_type, body = "application/problem+json", _rfc9457(problem, request_id)
    return HttpResponse(encode(body), content_type, problem.status_code, headers=headers)


def envelope(problem: Problem) -> dict[str, Any]:
    """The second surface's body of an error; its message tells every fault."""
    detail = str(problem.detail)
    faults = [
        f"`{fault['parameter']}`: {fault['detail']}"
        for fault in problem.errors
        if fault["detail"] != detail
    ]
    return {"success": False, "message": " ".join([detail, *faults]), "data": None}


def _rfc9457(problem: Problem, request_id: str | None) -> dict[str, Any]:
    body = {
        "type": "about:blank",
        "title": TITLES.get(problem.status_code) or HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": str(problem.detail),
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    return body | problem.members


def _problem(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case APIException():
            return Problem(error.status_code, str(error.detail))
        case Http404():
            return Problem(404, "There is no such object.")
        case PermissionDenied():
            return Problem(403, "This is not allowed.")
        case SuspiciousOperation() | UnreadablePostError():
            return Problem(400, "The request could not be read.")
    if isinstance(error.__cause__, QueryCanceled):
        log.warning("An answer took longer than %s s", settings.QUERY_TIMEOUT)
        return Problem(
            503, f"The answer takes longer than {settings.QUERY_TIMEOUT} s; ask for less."
        )
    if _is_of_database(error):
        log.error("The database did not answer: %s", error)
        return Problem(503, "The database does not answer; try again.")
    log.exception("Unexpected error", exc_info=error)
    return _unexpected()


def _is_of_database(error: Exception) -> bool:
    """Whether it is the database's state and not the request's: down, full or read-only."""
    read_only = isinstance(error.__cause__, ReadOnlySqlTransaction)
    return read_only or isinstance(error, DATABASE_ERRORS)


def _unexpected() -> Problem:
    return Problem(500, "Something went wrong here; the log has it under the request_id.")


def _headers(error: Exception) -> dict[str, str]:
    headers: dict[str, str] = dict(getattr(error, "headers", {}))
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(ceil(wait))
    elif _is_of_database(error):
        headers["Retry-After"] = str(RETRY_SECONDS)
    return headers
