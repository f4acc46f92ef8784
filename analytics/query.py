"""A question, as a value: whose facts, when, filtered how, grouped by what.

There is no Query without an account: that is what keeps every answer inside its tenant. A
comparison is the same Query with another period.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics.periods import INTERVALS, Period
from events.measures import MEASURES

NAMES = ("entity", "entity_type", "provider", "model")
"""What facts can be grouped by, beside one of INTERVALS and `tags.{key}`.

Inside the house also by "entity_row", "tag_set" and "session".
"""
TAG_PREFIX = "tags."
SPENT = ("cost", "events")
"""The measures of an answer that tells no more than these."""

Names = str | tuple[str, ...]
"""A name, or any one of several."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Equalities that all must hold; `tags` are (key, value) pairs. None matches everything."""

    entity_type: Names | None = None
    entity_id: Names | None = None
    model: str | None = None
    provider: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def of_calls(self) -> bool:
        """Whether they ask what a single call was, and not only whose it was."""
        return bool(self.model is not None or self.provider is not None or self.tags)

    @classmethod
    def of(cls, params: dict[str, Any]) -> "Filters":
        """The filters among an endpoint's checked parameters."""
        named = ("entity_type", "entity_id", "model", "provider")
        return cls(
            **{name: params.get(name) for name in named}, tags=tuple(params.get("tags") or ())
        )


@dataclass(frozen=True, kw_only=True)
class Query:
    """One question about an account's facts. `dimensions` name the groups, in order."""

    account_id: int
    period: Period
    filters: Filters = Filters()
    dimensions: tuple[str, ...] = ()
    attributed: bool = False
    """Only facts that have an entity."""
    entities: tuple[int, ...] | None = None
    """Only of the entities with these row ids."""
    least_cost: Decimal | None = None
    """Only groups that cost so much; USD."""
    by: str = "cost"
    """The measure that groups are ordered by, most first: cost, tokens or events."""
    ascending: bool = False
    """Least first instead of most."""
    limit: int | None = None
    limit_each: int | None = None
    """At most so many groups of each bucket, instead of `limit`; there must be a time dimension."""
    offset: int = 0
    measures: tuple[str, ...] = tuple(MEASURES)
    """What is wanted to know; a measure that is not is 0 in the answer."""

    @property
    def interval(self) -> str | None:
        """The time dimension, if there is one."""
        return next((name for name in self.dimensions if name in INTERVALS), None)


def is_dimension(name: str) -> bool:
    """Whether facts can be grouped by `name`."""
    is_tag = name.startswith(TAG_PREFIX) and len(name) > len(TAG_PREFIX)
    return name in NAMES or name in INTERVALS or is_tag
