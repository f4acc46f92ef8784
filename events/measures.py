"""The additive measures of facts; everything else (averages, shares) is made of them."""

from collections.abc import Mapping

MEASURES = {
    "events": "1",
    "failed_events": "(NOT fact.success)::integer",
    "unpriced_events": "(fact.cost IS NULL)::integer",
    "cost": "fact.cost",
    "input_tokens": "fact.input_tokens",
    "output_tokens": "fact.output_tokens",
    "cache_read_tokens": "fact.cache_read_tokens",
    "cache_write_tokens": "fact.cache_write_tokens",
    "reasoning_tokens": "fact.reasoning_tokens",
    "latency_sum": "fact.latency_ms",
    "latency_count": "(fact.latency_ms IS NOT NULL)::integer",
}
"""Name → what one event, aliased `fact`, adds to it. A rollup has a column of each name."""

ACCURACY = {
    "reported_events": "(fact.cost_source = 1)::integer",
    "compared_events": "(fact.computed_cost IS NOT NULL)::integer",
    "unpriced_events": "(fact.cost IS NULL)::integer",
    "unpriced_tokens": "CASE WHEN fact.cost IS NULL"
    " THEN fact.input_tokens + fact.output_tokens END",
    "reported_cost": "CASE WHEN fact.computed_cost IS NOT NULL THEN fact.cost END",
    "computed_cost": "fact.computed_cost",
}
"""How well the meter agrees with the bill: both costs of the events that have both."""


def sums(columns: Mapping[str, str]) -> list[str]:
    """The aggregates, as a rollup has them, of what is added to each measure.

    As bigints, in a third of the time that PostgreSQL's own sum of them takes, a numeric; a sum
    beyond 2^63 is an error, as a rollup cannot hold it.
    """
    return [
        f"coalesce({'sum' if name.endswith('cost') else 'bigint_sum'}({sql}), 0) AS {name}"
        for name, sql in columns.items()
    ]
