"""The additive measures of facts; everything else (averages, shares) is made of them."""

MEASURES = {
    "events": "count(*)",
    "failed_events": "count(*) FILTER (WHERE NOT fact.success)",
    "unpriced_events": "count(*) FILTER (WHERE fact.cost IS NULL)",
    "cost": "coalesce(sum(fact.cost), 0)",
    "input_tokens": "sum(fact.input_tokens)",
    "output_tokens": "sum(fact.output_tokens)",
    "cache_read_tokens": "sum(fact.cache_read_tokens)",
    "cache_write_tokens": "sum(fact.cache_write_tokens)",
    "reasoning_tokens": "sum(fact.reasoning_tokens)",
    "latency_sum": "coalesce(sum(fact.latency_ms), 0)",
    "latency_count": "count(fact.latency_ms)",
}
"""Name → its aggregate over the log, aliased `fact`. A rollup has a column of each name."""
