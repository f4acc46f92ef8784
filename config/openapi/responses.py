"""What answers have in common: the errors and the headers."""

from typing import Any

from apikeys.problems import Problem
from config.errors import envelope
from config.openapi.examples import EXAMPLES
from config.openapi.operations import ALWAYS, PROBLEMS, V2_PROBLEMS
from config.openapi.shapes import COUNT, TEXT, Schema, ref

RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_HEADERS: dict[str, tuple[Schema, str]] = {
    "X-Request-ID": (TEXT, "Names the request, in the log too."),
    "X-RateLimit-Limit": (COUNT, "Requests a minute."),
    "X-RateLimit-Remaining": (COUNT, "What is left of them after this one."),
    "X-RateLimit-Reset": (COUNT, "Epoch second at which the minute ends."),
    "Retry-After": (COUNT, "Seconds to wait."),
    "WWW-Authenticate": (TEXT, "`Bearer`"),
}
HEADERS: dict[str, Schema] = {
    name: {"description": about, "required": True, "schema": schema}
    for name, (schema, about) in _HEADERS.items()
}
_OWN = {401: ["WWW-Authenticate"], 429: [*RATE, "Retry-After"], 503: ["Retry-After"]}


def headers(*names: str) -> Schema:
    """The headers of an answer, beside the request's name, which every answer has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}


def problem_ref(code: int) -> Schema:
    """A reference to one of RESPONSES."""
    return {"$ref": f"#/components/responses/{_name(code)}"}


def refusal_ref(code: int) -> Schema:
    """A reference to one of RESPONSES, in the form of the second surface."""
    return {"$ref": f"#/components/responses/{_name(code)}V2"}


def _name(code: int) -> str:
    # Not from http.HTTPStatus, whose phrases change with the version of Python.
    return str(EXAMPLES["problems"][str(code)]["title"]).replace(" ", "")


def _response(code: int, about: str) -> Schema:
    found = EXAMPLES["problems"][str(code)]
    example: dict[str, Any] = {
        "type": "about:blank",
        "title": found["title"],
        "status": code,
        "detail": found["detail"],
        "request_id": "5f0c7d5f0f6f4b1f9f5d8e7a6b5c4d3e",
        **found,
    }
    return {
        "description": about,
        "headers": headers(*_OWN.get(code, RATE)),
        "content": {
            "application/problem+json": {"schema": ref("Problem"), "example": example},
        },
    }


def _refusal(code: int, about: str) -> Schema:
    found = EXAMPLES["problems"][str(code)]
    example = envelope(Problem(code, found["detail"], errors=found.get("errors", ())))
    return {
        "description": about.replace(" under `errors`", ""),
        "headers": headers(*_OWN.get(code, RATE)),
        "content": {"application/json": {"schema": ref("Refusal"), "example": example}},
    }


REFUSALS = {code: PROBLEMS[code] for code in ALWAYS} | V2_PROBLEMS
RESPONSES = {_name(code): _response(code, about) for code, about in PROBLEMS.items()} | {
    f"{_name(code)}V2": _refusal(code, about) for code, about in REFUSALS.items()
}
