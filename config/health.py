"""Is the process alive, and can it answer?"""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse

from apikeys.problems import Problem
from config.errors import DATABASE_ERRORS, error_response
from config.rendering import encode


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all; asks nobody."""
    return HttpResponse(encode({"status": "ok"}), "application/json")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and has every migration; 503 otherwise."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DATABASE_ERRORS:
        return error_response(request, Problem(503, "The database does not answer."))
    if missing:
        return error_response(request, Problem(503, "Migrations are missing: run `migrate`."))
    return HttpResponse(encode({"status": "ready"}), "application/json")
