"""What became of an item that was sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from events.rules import FieldError

CREATED = "created"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item; `errors` are empty for what was created or a duplicate."""

    id: str | None
    status: str
    errors: Sequence[FieldError] = ()
