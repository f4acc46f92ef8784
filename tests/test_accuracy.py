"""Does the meter agree with the bill: reported against computed costs, by model."""

import pytest

from events.roller import roll_up
from tests.conftest import event

JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
PATH = "/v1/analytics/costs/accuracy"
NOTHING = {
    "reported_events": 0,
    "compared_events": 0,
    "reported_cost": "0.00",
    "computed_cost": "0.00",
    "drift": "0.00",
    "drift_percent": None,
    "unpriced_events": 0,
    "unpriced_tokens": 0,
}


@pytest.fixture
def metered(api):
    """gpt-4o computes 0.00075 for 100 in and 50 out; another model is known to nobody."""
    nobody = {"model": "nobody-knows", "provider": "acme"}
    api.send(
        event(cost_usd="0.0005"),
        event(cost_usd="0.0015", tags={"a": "b"}),
        event(cost_usd="0.0015", timestamp="2025-01-31T23:59:59.999999Z"),
        event(cost_usd=None),
        event(cost_usd="9", timestamp="2025-02-01T00:00:00Z"),
        event(cost_usd="3", **nobody),
        event(cost_usd=None, **nobody, tags={"a": "b"}),
        event(cost_usd=None, **nobody, entity_type="team", entity_id="red"),
    )
    return api


GPT = {
    "model": "gpt-4o",
    "provider": "openai",
    "reported_events": 3,
    "compared_events": 3,
    "reported_cost": "0.0035",
    "computed_cost": "0.00225",
    "drift": "-0.00125",
    "drift_percent": "-35.7",
    "unpriced_events": 0,
    "unpriced_tokens": 0,
}
NOBODY = NOTHING | {
    "model": "nobody-knows",
    "provider": "acme",
    "reported_events": 1,
    "unpriced_events": 2,
    "unpriced_tokens": 300,
}


def test_costs_are_compared_by_model_in_the_tail_and_rolled_up(metered):
    for _ in range(2):
        body = metered.read(PATH, **JANUARY)
        assert body == {
            "data": [GPT, NOBODY],
            "summary": {
                **{name: GPT[name] for name in NOTHING},
                "reported_events": 4,
                "unpriced_events": 2,
                "unpriced_tokens": 300,
                "period": {"start": "2025-01-01", "end": "2025-01-31"},
            },
        }
        while roll_up():
            pass


def test_filters_zones_and_csv(metered):
    for _ in range(2):
        assert metered.read(PATH, **JANUARY, provider="acme")["data"] == [NOBODY]
        tagged = metered.read(PATH, **JANUARY, tags="a:b")["data"]
        assert [(row["model"], row["drift"], row["unpriced_events"]) for row in tagged] == [
            ("gpt-4o", "-0.00075", 0),
            ("nobody-knows", "0.00", 1),
        ]
        team = metered.read(PATH, **JANUARY, entity_type="team")["summary"]
        assert (team["reported_events"], team["unpriced_events"]) == (0, 1)
        west = metered.read(PATH, **JANUARY, timezone="America/New_York")["data"]
        assert west[0]["reported_cost"] == "9.0035"
        east = metered.read(PATH, **JANUARY, timezone="Asia/Kathmandu")["data"]
        assert east[0]["reported_cost"] == "0.002"
        assert metered.csv(PATH, **JANUARY, model="gpt-4o").split("\r\n") == [
            "model,provider,reported_events,compared_events,reported_cost,computed_cost,drift,"
            "drift_percent,unpriced_events,unpriced_tokens",
            "gpt-4o,openai,3,3,0.0035,0.00225,-0.00125,-35.7,0,0",
            "",
        ]
        while roll_up():
            pass


def test_nothing_is_no_row(api):
    summary = NOTHING | {"period": {"start": "2025-01-01", "end": "2025-01-31"}}
    assert api.read(PATH, **JANUARY) == {"data": [], "summary": summary}
