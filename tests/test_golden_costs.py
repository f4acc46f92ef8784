"""What events cost, case by case, to the last of 10 decimals.

Each case of golden_costs.json names its source and shows its arithmetic: how many tokens at which
USD per million. The expected cost was worked out from these, not by the product.
"""

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import time_machine

from tests.conftest import Api, new_api

CASES = json.loads((Path(__file__).parent / "golden_costs.json").read_text())
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sent() -> Api:
    """An account with an event of every case."""
    api = new_api()
    with time_machine.travel(NOW, tick=False):
        api.send(*({**case["event"], "id": case["name"]} for case in CASES))
    return api


def test_corpus_is_whole():
    assert len(CASES) >= 80
    assert all(case["source"] for case in CASES)
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_event_costs_what_the_price_list_says(sent, case):
    event = read(sent, case)
    if case["cost_usd"] is None:
        assert (event["cost_usd"], event["cost_source"]) == (None, "unpriced")
    else:
        assert event["cost_source"] == "computed"
        assert f"{Decimal(event['cost_usd']):.10f}" == case["cost_usd"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_breakdown_adds_up_to_tokens_and_cost(sent, case):
    event = read(sent, case)
    lines = event["breakdown"]
    assert bool(lines) == (Decimal(event["cost_usd"] or 0) > 0)
    if lines:
        counted = sum(line["quantity"] for line in lines if line["unit"] != "request")
        assert counted == event["total_tokens"]
        whole = sum(Decimal(line["cost_usd"]) for line in lines)
        assert whole.quantize(Decimal("1e-10"), ROUND_HALF_UP) == Decimal(event["cost_usd"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_arithmetic_of_the_case_is_right(case):
    listed = case["tokens_at_usd_per_million"]
    if listed is not None:
        total = sum(count * Decimal(usd) for count, usd in listed) * Decimal("0.000001")
        rounded = Decimal(total).quantize(Decimal("1e-10"), ROUND_HALF_UP)
        assert f"{rounded:.10f}" == case["cost_usd"]


def read(api: Api, case: dict[str, Any]) -> Any:
    return api.read(f"/v1/events/{quote(case['name'])}")
