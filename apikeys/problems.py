"""The error that any view may raise; `config.errors` writes it as the surface of the path asks."""

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.exceptions import APIException


class Problem(APIException):
    """An RFC 9457 problem: a status, a sentence for people, and the faults one by one.

    Each of `errors` has `parameter` (of the address) or `pointer` (into the body), `code` and
    `detail`. `members` are further keys of the body.
    """

    def __init__(
        self, status: int, detail: str, *, errors: Sequence[Mapping[str, Any]] = (), **members: Any
    ) -> None:
        super().__init__(detail)
        self.status_code = status
        self.errors = errors
        self.members = members
