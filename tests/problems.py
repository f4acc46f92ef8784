"""What the body of every refusal must be."""

import json
from typing import Any

# As RFC 9110 has them; Python changed its mind about two.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
}


def problem(response: Any, status: int) -> Any:
    """The body of an answer that must be an RFC 9457 problem, complete."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body["type"] == "about:blank"
    assert body["title"] == TITLES[status]
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"] == response["X-Request-ID"]
    for error in body.get("errors", []):
        assert len(error.keys() & {"parameter", "pointer"}) == 1
        assert error["code"]
        assert error["detail"]
    return body


def parameters(response: Any) -> set[str]:
    """The parameters that a bad request names."""
    return {error["parameter"] for error in problem(response, 400)["errors"]}


def pointers(response: Any, status: int = 422) -> set[str]:
    """The places in the body that an answer names."""
    return {error["pointer"] for error in problem(response, status)["errors"]}
