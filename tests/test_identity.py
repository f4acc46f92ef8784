"""An event with an id, or in a request with an Idempotency-Key, never counts twice."""

import json
from typing import Any

import pytest
import time_machine

from tests.conftest import Api, event
from tests.problems import pointers, problem

JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
CUSTOMER = {"entity_type": "customer", "entity_id": "acme"}


def total(api: Api) -> int:
    """How many events are stored."""
    return api.read("/v1/events")["pagination"]["total"]


def test_single_event_is_created_then_a_duplicate_then_a_conflict(api):
    created = api.post("/v1/events", event(id="one"))
    assert (created.status_code, created.json()) == (201, {"id": "one", "status": "created"})
    again = api.post("/v1/events", event(id="one"))
    assert (again.status_code, again.json()) == (200, {"id": "one", "status": "duplicate"})
    other = problem(api.post("/v1/events", event(id="one", input_tokens=1)), 409)
    assert [(error["pointer"], error["code"]) for error in other["errors"]] == [("/id", "conflict")]
    assert api.read("/v1/events/one")["input_tokens"] == 100
    assert total(api) == 1


def test_repeats_within_a_batch_and_across_requests(api):
    batch = [
        event(id="a"),
        event(id="b"),
        event(id="a"),
        event(id="b", cost_usd="2"),
        event(id="c"),
    ]
    first = api.post("/v1/events", {"events": batch}).json()
    assert outcomes(first) == [(2, "a", "duplicate"), (3, "b", "conflict")]
    second = api.post("/v1/events", {"events": [*batch, event(id="d")]}).json()
    assert outcomes(second) == [
        (0, "a", "duplicate"),
        (1, "b", "duplicate"),
        (2, "a", "duplicate"),
        (3, "b", "conflict"),
        (4, "c", "duplicate"),
    ]
    assert (second["accepted"], second["duplicates"], second["conflicts"]) == (1, 4, 1)
    assert total(api) == 4
    assert api.read("/v1/analytics/costs", **JANUARY)["summary"]["total_cost"] == "2.00"


def outcomes(answer: Any) -> list[tuple[int, str, str]]:
    return [(row["index"], row["id"], row["status"]) for row in answer["results"]]


def test_rejected_event_takes_no_id(api):
    assert api.post("/v1/events", event(id="one", input_tokens=-1)).status_code == 422
    assert api.post("/v1/events", event(id="one")).status_code == 201


def test_ids_belong_to_their_account(api, other):
    api.send(event(id="one"))
    other.send(event(id="one", input_tokens=1))
    assert api.post("/v1/events", event(id="one")).json()["status"] == "duplicate"


def test_ids_are_compared_by_their_bytes(api):
    api.send(*[event(id=name) for name in ("é", "e\u0301", "E", "e", " e", "e ", "a/b", "a%2Fb")])


SAME = [
    ({}, {}),
    ({"timestamp": None}, {"timestamp": None}),
    ({"timestamp": "2025-01-15T12:00:00Z"}, {"timestamp": "2025-01-15T13:00:00+01:00"}),
    ({"timestamp": "2025-01-15T12:00:00Z"}, {"timestamp": "2025-01-15t12:00:00.000z"}),
    ({"timestamp": "2025-01-15T12:00:00-00:00"}, {"timestamp": "2025-01-15T17:45:00+05:45"}),
    ({"cost_usd": 1}, {"cost_usd": "1.00"}),
    ({"cost_usd": 1.0}, {"cost_usd": "1"}),
    ({"cost_usd": 0.5}, {"cost_usd": "0.5000000000"}),
    ({"cost_usd": 0}, {"cost_usd": "0.0"}),
    ({"cost_usd": 0.30000000000000004}, {"cost_usd": "0.3"}),
    ({"cost_usd": None}, {"cost_usd": None}),
    ({}, {"success": True}),
    ({}, {"cache_read_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0}),
    ({}, {"tags": {}}),
    ({}, {"total_tokens": 150}),
    ({"tags": {"a": True, "b": 3}}, {"tags": {"b": "3", "a": "true"}}),
    ({"model": "😀"}, {"model": "\ud83d\ude00"}),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_same_content_is_a_duplicate(api, first, second):
    """Also at another time, and the other way round."""
    for name, one, two in (("there", first, second), ("back", second, first)):
        with time_machine.travel("2025-06-01T12:00:00Z", tick=False):
            assert api.post("/v1/events", event(id=name, **one)).json()["status"] == "created"
        with time_machine.travel("2025-06-02T12:00:01Z", tick=False):
            assert api.post("/v1/events", event(id=name, **two)).json()["status"] == "duplicate"


OTHER = [
    ({"timestamp": None}, {"timestamp": "2025-06-01T12:00:00Z"}),
    ({"timestamp": "2025-01-15T12:00:00Z"}, {"timestamp": "2025-01-15T12:00:00.000001Z"}),
    ({"cost_usd": None}, {"cost_usd": "0"}),
    ({"cost_usd": "0.5"}, {"cost_usd": "0.5000000001"}),
    ({}, {"success": False}),
    ({}, {"latency_ms": 0}),
    ({}, {"cache_read_tokens": 1}),
    ({}, {"session_id": "s"}),
    ({}, {"tags": {"a": ""}}),
    ({"tags": {"a": "true"}}, {"tags": {"a": "True"}}),
    ({}, {"error_type": "timeout"}),
    ({}, CUSTOMER),
    (CUSTOMER, CUSTOMER | {"entity_type": "team"}),
    ({"model": "a", "provider": "b"}, {"model": "b", "provider": "a"}),
    ({"input_tokens": 50}, {"input_tokens": 51}),
]


@pytest.mark.parametrize(("first", "second"), OTHER)
@time_machine.travel("2025-06-01T12:00:00Z", tick=False)
def test_other_content_is_a_conflict(api, first, second):
    for name, one, two in (("there", first, second), ("back", second, first)):
        assert api.post("/v1/events", event(id=name, **one)).status_code == 201
        assert api.post("/v1/events", event(id=name, **two)).status_code == 409


def test_computed_cost_is_no_part_of_the_content(api):
    api.send(event(id="one", cost_usd=None))
    computed = api.read("/v1/events/one")["cost_usd"]
    assert computed is not None
    assert api.post("/v1/events", event(id="one", cost_usd=computed)).status_code == 409
    assert api.post("/v1/events", event(id="one", cost_usd=None)).status_code == 200


def test_idempotency_key_lets_a_whole_request_be_sent_again(api, other):
    body = {"events": [event(timestamp=None), event(timestamp=None), event(id="own", cost_usd="1")]}
    first = api.post("/v1/events", body, idempotency_key="K").json()
    assert first["accepted"] == 3
    with time_machine.travel("2030-01-01T00:00:00Z"):
        again = api.post("/v1/events", body, idempotency_key="K").json()
    assert [status for _, _, status in outcomes(again)] == ["duplicate"] * 3
    assert outcomes(again)[2][1] == "own"
    assert api.post("/v1/events", body, idempotency_key="L").json()["accepted"] == 2
    assert api.post("/v1/events", body).json()["accepted"] == 2
    assert other.post("/v1/events", body, idempotency_key="K").json()["accepted"] == 3
    assert total(api) == 7


def test_idempotency_key_with_other_content_is_a_conflict(api):
    api.post("/v1/events", {"events": [event(), event()]}, idempotency_key="K")
    changed = {"events": [event(), event(input_tokens=1), event()]}
    answer = api.post("/v1/events", changed, idempotency_key="K").json()
    assert [(index, status) for index, _, status in outcomes(answer)] == [
        (0, "duplicate"),
        (1, "conflict"),
    ]
    assert answer["accepted"] == 1


def test_idempotency_key_of_a_single_event(api):
    created = api.post("/v1/events", event(), idempotency_key="K")
    again = api.post("/v1/events", event(), idempotency_key="K")
    assert (created.status_code, again.status_code) == (201, 200)
    assert created.json()["id"] == again.json()["id"]
    assert total(api) == 1


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        ("0.12345678905", "0.123456789"),
        ("0.12345678915", "0.1234567892"),
        ("0.123456789051", "0.1234567891"),
        ("0.00000000005", "0.00"),
        ("0.00000000015", "0.0000000002"),
        ("1e-11", "0.00"),
        ("1.5E2", "150.00"),
        ("0.1", "0.10"),
        ("0.30000000000000004", "0.30"),
        ("123456789.12345678905", "123456789.123456789"),
        ("999999999.99999999994", "999999999.9999999999"),
    ],
)
def test_number_is_rounded_half_even_and_exactly(api, number, stored):
    raw = json.dumps(event(id="one", cost_usd="COST"))
    api.post("/v1/events", raw.replace('"COST"', number).encode())
    assert api.read("/v1/events/one")["cost_usd"] == stored


@pytest.mark.parametrize("number", ["999999999.99999999995", "1e9", "-1e-300", "1e400", "-1"])
def test_number_out_of_range_is_refused(api, number):
    raw = json.dumps(event(cost_usd="COST")).replace('"COST"', number)
    assert pointers(api.post("/v1/events", raw.encode())) == {"/cost_usd"}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        *((True, "true"), (False, "false"), (3, "3"), (-2, "-2"), (1.5, "1.5")),
        *((10**20, "1" + "0" * 20), ("True", "True"), ("", ""), (" x ", " x "), ("😀", "😀")),
    ],
)
def test_tag_values_are_stored_as_text(api, sent, stored):
    api.send(event(id="one", tags={"key": sent}))
    assert api.read("/v1/events/one")["tags"] == {"key": stored}
    (row,) = api.read("/v1/analytics/costs", **JANUARY, group_by="tags.key")["data"]
    assert row["tags.key"] == stored
