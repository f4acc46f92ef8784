"""The second surface as its document has it: the titles, their addresses, the envelope."""

import json
from typing import Any

from apikeys.models import issue_key
from tests.conftest import Api

PREFIX = "/api/v2/analytics/"

TITLES = {
    "Get Agent Cost Data": "agents/costs",
    "Get Agent Document Count Data": "agents/document-counts",
    "Get Agent Indexing Mode Data": "agents/indexing-modes",
    "Get Agent Most Active Data": "agents/most-active",
    "Get Agent Query Count Data": "agents/query-counts",
    "Get Recent Agent Data": "agents/recent",
    "Get Agent Summary Statistics": "agents/summary",
    "Get Agent Token Data": "agents/tokens",
    "Get Agent Vote Data": "agents/votes",
    "Get Corpus Document Count Data": "corpora/document-counts",
    "Get Corpus Indexing Mode Data": "corpora/indexing-modes",
    "Get Cost Data": "costs",
    "Get Document Count Data": "document-counts",
    "Get Indexing Mode Data": "indexing-modes",
    "Get Project Cost Data": "projects/costs",
    "Get Project Document Count Data": "projects/document-counts",
    "Get Project Indexing Mode Data": "projects/indexing-modes",
    "Get Project Most Active Data": "projects/most-active",
    "Get Project Query Count Data": "projects/query-counts",
    "Get Recent Project Data": "projects/recent",
    "Get Project Summary Statistics": "projects/summary",
    "Get Project Token Data": "projects/tokens",
    "Get Project Vote Data": "projects/votes",
    "Get Overall Summary Statistics": "summary",
    "Get Team Cost Data": "teams/costs",
    "Get Team Document Count Data": "teams/document-counts",
    "Get Team Indexing Mode Data": "teams/indexing-modes",
    "Get Team Most Active Data": "teams/most-active",
    "Get Team Query Count Data": "teams/query-counts",
    "Get Recent Team Data": "teams/recent",
    "Get Team Summary Statistics": "teams/summary",
    "Get Team Token Data": "teams/tokens",
    "Get Team Vote Data": "teams/votes",
    "Get Total Entity Counts": "entity-counts",
    "Get User Cost Data": "users/costs",
    "Get User Document Count Data": "users/document-counts",
    "Get User Indexing Mode Data": "users/indexing-modes",
    "Get User Most Active Data": "users/most-active",
    "Get User Query Count Data": "users/query-counts",
    "Get Recent User Data": "users/recent",
    "Get User Summary Statistics": "users/summary",
    "Get User Token Data": "users/tokens",
    "Get User Vote Data": "users/votes",
    "Get Vote Count Data": "vote-counts",
    "Get Query Count Data": "query-counts",
    "Get Token Data": "tokens",
}
"""In the order of the document."""

UNANSWERED = [
    path
    for path in TITLES.values()
    if path.endswith(("document-counts", "indexing-modes", "votes", "vote-counts"))
]
ANSWERED = [path for path in TITLES.values() if path not in UNANSWERED]
KINDS = {
    "agents": ("agent", ("agent",)),
    "projects": ("project", ("project",)),
    "teams": ("team", ("team",)),
    "users": ("user", ("user", "employee")),
}
"""The singular of a kind of entity, and the entity types that are of it."""

JANUARY = {"type": "range", "start_date": "2025-01-01", "end_date": "2025-01-31"}


def ingester(api: Api) -> Api:
    """A client of the same account whose key may only write."""
    return Api(api.account, issue_key(api.account, scopes=["ingest"])[1])


def parts(path: str) -> tuple[str | None, str]:
    """The kind of entity that a path is about, if any, and what it is asked."""
    kind, slash, name = path.rpartition("/")
    return (kind if slash else None), name


def refusal(response: Any, status: int) -> str:
    """The message of an answer that must be an error in the envelope."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    assert response["X-Request-ID"]
    body = json.loads(response.content)
    assert body.keys() == {"success", "message", "data"}
    assert body["success"] is False
    assert body["data"] is None
    assert body["message"]
    return str(body["message"])


def answer(response: Any) -> Any:
    """The one thing in `data` of an answer that must be a success; numbers as they are written."""
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    body = json.loads(response.content, parse_float=str)
    assert body.keys() == {"success", "message", "data"}
    assert body["success"] is True
    assert body["message"].endswith(" data retrieved successfully")
    (found,) = body["data"].values()
    return found
