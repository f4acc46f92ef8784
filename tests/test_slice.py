"""The thinnest slice of the product: a key, events, costs, CSV."""

from tests.conftest import event

JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}


def test_events_become_costs_and_csv(api):
    api.send(
        event(entity_type="customer", entity_id="acme", latency_ms=100),
        event(entity_type="customer", entity_id="acme", latency_ms=101, cost_usd=0.3),
        event(model="nobody-knows", cost_usd=None),
    )

    costs = api.read("/v1/analytics/costs", **JANUARY, group_by="entity")
    table = api.csv("/v1/analytics/costs", **JANUARY, group_by="entity")

    assert costs["summary"] == {
        "total_cost": "0.80",
        "total_events": 3,
        "unpriced_events": 1,
        "period": {"start": "2025-01-01", "end": "2025-01-31"},
    }
    assert table.split("\r\n") == [
        "entity_type,entity_id,total_cost,total_events,total_input_tokens,total_output_tokens,"
        "avg_latency_ms,failed_events,total_cache_read_tokens,total_cache_write_tokens,"
        "total_reasoning_tokens,unpriced_events",
        "customer,acme,0.80,2,200,100,101,0,0,0,0,0",
        ",,0.00,1,100,50,,0,0,0,0,1",
        "",
    ]
