"""The additive measures of facts; everything else (averages, shares) is made of them."""


def measures(total: str) -> dict[str, str]:
    """Name → its aggregate over the log, aliased `fact`; `total` is what sums a bigint."""
    return {
        "events": "count(*)",
        "failed_events": "count(*) FILTER (WHERE NOT fact.success)",
        "unpriced_events": "count(*) FILTER (WHERE fact.cost IS NULL)",
        "cost": "coalesce(sum(fact.cost), 0)",
        "input_tokens": f"{total}(fact.input_tokens)",
        "output_tokens": f"{total}(fact.output_tokens)",
        "cache_read_tokens": f"coalesce({total}(fact.cache_read_tokens), 0)",
        "cache_write_tokens": f"coalesce({total}(fact.cache_write_tokens), 0)",
        "reasoning_tokens": f"coalesce({total}(fact.reasoning_tokens), 0)",
        "latency_sum": f"coalesce({total}(fact.latency_ms), 0)",
        "latency_count": "count(fact.latency_ms)",
    }


MEASURES = measures("sum")
"""Exact at any size: PostgreSQL sums bigints as numeric. A rollup has a column of each name."""

ROLLED_UP = measures("bigint_sum")
"""As bigints, in a third of the time; a sum beyond 2^63 is an error, as a rollup cannot hold it."""
