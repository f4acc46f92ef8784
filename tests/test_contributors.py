"""What a change is made of: it adds up to the last decimal, and it is what was done."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest

from analytics.anomalies.explain import Use, effects, exact
from tests.conftest import event

PERIODS = {
    "period1_start": "2025-01-15",
    "period1_end": "2025-01-15",
    "period2_start": "2025-01-14",
    "period2_end": "2025-01-14",
}
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5")]


def compare(api, **params):
    """The body with numbers as they are written, exact."""
    answer = api.get("/v1/analytics/compare", **PERIODS | params)
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content, parse_float=Decimal)


def some_events(random, day):
    """From none to thirty calls, of which some have no cost, no tags, no session, no tokens."""
    for _ in range(random.choice([0, 1, 2, random.randint(3, 30)])):
        provider, model = random.choice(MODELS)
        yield event(
            timestamp=f"{day}T{random.randint(0, 23):02}:00:00Z",
            provider=provider,
            model=model,
            input_tokens=random.choice([0, random.randint(1, 9_000)]),
            output_tokens=random.choice([0, random.randint(1, 900)]),
            cost_usd=f"{random.randint(0, 10**12)}e-10",
            session_id=random.choice([None, *(f"s{number}" for number in range(9))]),
            tags=random.choice([{}, {"env": "prod"}, {"team": f"t{random.randint(0, 9)}"}]),
        )


@pytest.mark.parametrize("case", range(20))
def test_everything_adds_up_over_http(api, case):
    random = Random(case)
    for day in (date(2025, 1, 14), date(2025, 1, 15)):
        if sent := list(some_events(random, day)):
            api.send(*sent)
    body = compare(api, explain="true")
    change = Decimal(str(body["changes"]["cost_change"]))
    for dimension, rows in body["contributors"].items():
        total = sum((Decimal(str(row["change"])) for row in rows), Decimal(0))
        assert total == change or (not rows and dimension in ("tags", "sessions")), dimension


@pytest.mark.parametrize("case", range(200))
def test_effects_add_up_to_the_last_decimal(case):
    random = Random(case)

    def uses():
        names = random.sample("abcdef", random.randint(0, 6))
        return {
            name: Use(
                Fraction(random.randint(1, 10**6)),
                Fraction(random.choice([0, random.randint(1, 10**9)])),
                Fraction(random.randint(0, 10**15), random.choice([1, 7, 10**10])),
            )
            for name in names
        }

    now, base = uses(), uses()
    change = sum((use.cost for use in now.values()), Fraction(0))
    change -= sum((use.cost for use in base.values()), Fraction(0))
    split = effects(now, base)
    assert sum(split.values()) == change
    rounded = Decimal(round(change * 10**10)).scaleb(-10)
    assert sum(exact(dict(split), rounded).values()) == rounded


def changed(api, first, second, **params):
    """The rows of what the change from the second day's events to the first's is made of."""
    api.send(*(event(timestamp="2025-01-15T12:00:00Z", **fields) for fields in first))
    api.send(*(event(timestamp="2025-01-14T12:00:00Z", **fields) for fields in second))
    found = compare(api, explain="true", **params)["contributors"]
    return {
        dimension: {row["name"]: str(row["change"]) for row in rows}
        for dimension, rows in found.items()
    }


def effect(api, first, second):
    return {
        name: change
        for name, change in changed(api, first, second)["effects"].items()
        if change != "0.00"
    }


CALL = {"input_tokens": 80, "output_tokens": 20, "cost_usd": "1.00"}
LONG = {"input_tokens": 160, "output_tokens": 40, "cost_usd": "2.00"}
DEAR = {**CALL, "cost_usd": "3.00"}
OTHER = {**DEAR, "model": "o3"}


def test_three_times_the_calls_are_volume(api):
    assert effect(api, [CALL] * 3, [CALL]) == {"volume": "2.00"}


def test_longer_calls_are_tokens(api):
    assert effect(api, [LONG] * 2, [CALL] * 2) == {"tokens_per_call": "2.00"}


def test_dearer_tokens_are_price(api):
    assert effect(api, [DEAR] * 2, [CALL] * 2) == {"price_per_token": "4.00"}


def test_a_dearer_model_is_mix(api):
    assert effect(api, [CALL, OTHER, OTHER], [CALL, CALL, OTHER]) == {"mix": "2.00"}


def test_a_model_without_a_past_is_mix(api):
    assert effect(api, [OTHER, OTHER], [CALL, CALL]) == {"mix": "4.00"}


def test_everything_at_once(api):
    # 2 calls of 1.00 to 3 of 6.00: +1.00 for a third call, twice the tokens, three times the price
    first, second = [{**LONG, "cost_usd": "6.00"}] * 3, [CALL] * 2
    assert effect(api, first, second) == {
        "volume": "1.00",
        "tokens_per_call": "3.00",
        "price_per_token": "12.00",
    }


def test_names_of_models_tags_and_sessions(api):
    first = [
        {**CALL, "tags": {"env": "prod", "feature": "chat"}, "session_id": "long"},
        {**CALL, "tags": {"env": "prod", "feature": "chat"}, "session_id": "long"},
        {**CALL, "tags": {"env": "prod"}, "model": "o3"},
        CALL,
    ]
    second = [{**CALL, "tags": {"env": "prod"}}, {**CALL, "tags": {"feature": "search"}}]
    found = changed(api, first, second)
    assert found["models"] == {"openai/gpt-4o": "1.00", "openai/o3": "1.00"}
    assert found["tags"] == {"env:prod": "2.00"}
    assert found["sessions"] == {"long": "2.00"}


def test_only_what_the_filters_match_is_explained(api):
    acme = {"entity_type": "customer", "entity_id": "acme"}
    first = [{**CALL, **acme}, {**CALL, **acme}, OTHER]
    found = changed(api, first, [{**CALL, **acme}], entity_id="acme")
    assert found["models"] == {"openai/gpt-4o": "1.00"}


def test_without_asking_there_is_no_explanation(api):
    assert compare(api).keys() == {"period1", "period2", "changes"}


def test_an_explanation_survives_the_loss_of_the_log(api, monkeypatch):
    api.send(event(entity_type="customer", entity_id="acme", tags={"a": "b"}))
    cut = datetime(2025, 2, 1, tzinfo=UTC)
    monkeypatch.setattr("analytics.facts.log_from", lambda: cut)  # the log is every test's
    found = compare(api, explain="true", entity_id="acme")["contributors"]
    assert (found["tags"], found["sessions"]) == (None, None)
    assert [row["name"] for row in found["models"]] == ["openai/gpt-4o"]
