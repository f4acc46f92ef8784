"""The rollups, declared once: the roller, the planner, the rebuild and the verify read this list.

A new rollup is one entry here and one migration that makes its table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from events.measures import ACCURACY, MEASURES, sums

EPOCH = "TIMESTAMPTZ '2000-01-03 00:00:00+00'"
"""A Monday: weeks begin there."""


class Grain(IntEnum):
    """The length of a rollup's buckets in minutes; buckets begin at whole ones in UTC.

    A quarter of an hour is exact for every IANA zone: all offsets in use are multiples of it.
    """

    QUARTER = 15
    HOUR = 60
    DAY = 1440
    WEEK = 10080

    def bucket(self, column: str) -> str:
        """SQL: the start of the bucket that `column` falls into."""
        return f"date_bin('{self.value} minutes', {column}, {EPOCH})"


@dataclass(frozen=True)
class Rollup:
    """One table of measures by account, bucket and dimensions; its grain is its primary key.

    Dimensions are `entity_id`, `entity_type` ('' where there is no entity), `model_id` and
    `tag_set_id`.
    """

    name: str
    grain: Grain
    dimensions: tuple[str, ...]
    source: str | None = None
    """The finer rollup whose new rows it sums, instead of all events once more."""
    measures: Mapping[str, str] = field(default_factory=MEASURES.copy, hash=False)
    """Name → what one event adds to it."""
    where: str = "true"
    """The condition on the events that it counts."""

    @property
    def table(self) -> str:
        return f"events_rollup_{self.name}"

    @property
    def key(self) -> tuple[str, ...]:
        return ("account_id", "bucket", *self.dimensions)

    def covers(self, dimensions: frozenset[str]) -> bool:
        """Whether facts by `dimensions` can be read from here. An entity has one type."""
        have = set(self.dimensions)
        if "entity_id" in have:
            have.add("entity_type")
        return dimensions <= have


ROLLUPS = (
    Rollup("day_type_model", Grain.DAY, ("entity_type", "model_id"), "quarter_type_model"),
    Rollup("quarter", Grain.QUARTER, (), "quarter_type_model"),
    Rollup("day_tags", Grain.DAY, ("tag_set_id",), "quarter_tags"),
    Rollup("week_entity", Grain.WEEK, ("entity_id",), "day_entity"),
    Rollup("day_entity", Grain.DAY, ("entity_id",), "hour_entity"),
    Rollup("quarter_type_model", Grain.QUARTER, ("entity_type", "model_id")),
    Rollup("quarter_tags", Grain.QUARTER, ("tag_set_id",)),
    Rollup("day_entity_model", Grain.DAY, ("entity_id", "model_id")),
    Rollup("hour_entity", Grain.HOUR, ("entity_id",)),
)
"""By size, smallest first: the planner takes the first one that covers a question.

Quarter-hour x entity x model is not among them: at 1,000 entities and 12 models it would hold
nearly a row an event. What no rollup covers (a tag together with a model, say) is read from the
log.
"""

DAY_ACCURACY = Rollup(
    "day_accuracy", Grain.DAY, ("model_id",), measures=ACCURACY, where="cost_source < 2"
)
"""Of the reported and the unpriced, by model; no question of the planner's."""

TABLES = (*ROLLUPS, DAY_ACCURACY)
"""All that is rolled up, rebuilt and verified."""
OF_DAYS = tuple(rollup for rollup in TABLES if rollup.grain <= Grain.DAY)
LONGER = tuple(rollup for rollup in TABLES if rollup.grain > Grain.DAY)
"""Those whose buckets hold several days; they are sums of others."""


def facts_sql(rollup: Rollup) -> str:
    """The rows of a rollup that the events of the relation `fact` make, one a key."""
    key = ["account_id", f"{rollup.grain.bucket('timestamp')} AS bucket", *rollup.dimensions]
    return _grouped(key, sums(rollup.measures), f"fact WHERE {rollup.where}")


def added_sql(rollup: Rollup, source: str) -> str:
    """The same from the rows of a finer rollup, as the relation `source`."""
    key = ["account_id", f"{rollup.grain.bucket('bucket')} AS bucket", *rollup.dimensions]
    return _grouped(key, sums({name: name for name in MEASURES}), source)


def _grouped(key: list[str], measures: list[str], source: str) -> str:
    positions = ", ".join(str(n + 1) for n in range(len(key)))
    return f"SELECT {', '.join([*key, *measures])} FROM {source} GROUP BY {positions}"


def upsert_sql(rollup: Rollup, added: str) -> str:
    """Add the rows of the relation `added` to a rollup.

    In key order: upserts that meet the same rows in another order deadlock, and a column missing
    from the order brings that back.
    """
    key, measures = ", ".join(rollup.key), ", ".join(rollup.measures)
    return f"""
        INSERT INTO {rollup.table} AS kept ({key}, {measures})
        SELECT {key}, {measures} FROM {added} ORDER BY {key}
        ON CONFLICT ({key}) DO UPDATE SET
            {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in rollup.measures)}
    """


def roll_up_steps(rollups: Sequence[Rollup] = TABLES) -> str:
    """Steps of a WITH: `fact` (events with the type of their entity) in, the rollups done.

    Events are summed for those without a source and the others made from these. Summed by every
    dimension first, and then once more for each, took twice as long: nearly every event is alone
    there.
    """
    steps = []
    for rollup in sorted(rollups, key=lambda rollup: (rollup.source is not None, rollup.grain)):
        added = f"{rollup.name}_added"
        rows = added_sql(rollup, f"{rollup.source}_added") if rollup.source else facts_sql(rollup)
        steps.append(f"{added} AS ({rows})")
        steps.append(f"{rollup.name} AS ({upsert_sql(rollup, added)})")
    return ", ".join(steps)
