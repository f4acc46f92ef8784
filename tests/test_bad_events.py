"""Every bad field of an event is named, all of them at once."""

import json
import logging
from typing import Any

import pytest
import time_machine

from tests.conftest import event
from tests.problems import pointers, problem

ARABIC = "٢٠٢٥-٠١-٠١"  # noqa: RUF001 - digits to Python, but not to RFC 3339
NAMES = ("id", "model", "provider", "session_id")
COUNTS = ("input_tokens", "output_tokens", "latency_ms")
PARTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
CUSTOMER = {"entity_type": "customer", "entity_id": "acme"}

BAD_FIELDS = [
    *((name, value) for name in NAMES for value in ("", "x" * 201, 5, True, ["x"], {})),
    *((name, value) for name in CUSTOMER for value in ("", "x" * 201, 5)),
    *((name, value) for name in COUNTS for value in (-1, 10**12 + 1, 1.5, "1", True, [])),
    *((name, value) for name in PARTS for value in (-1, 1.5, "1", True)),
    *(("total_tokens", value) for value in (149, 151, -150, 150.5, "150")),
    *(("cache_read_tokens", value) for value in (101, 10**12)),
    *(("reasoning_tokens", value) for value in (51,)),
    *(("cost_usd", value) for value in (-0.01, "-1", -1, 10**9, "1000000000", 1e9, 1e300)),
    *(("cost_usd", value) for value in ("", "abc", " 1", "1 ", "1,5", "0x1", "1_000", "+1", "٣")),
    *(("cost_usd", value) for value in ("NaN", "Infinity", "-0.5", "$1", ".", True, [], {})),
    *(("cost_usd", value) for value in ("0.00000000001", "999999999.99999999999")),
    *(("success", value) for value in ("true", 1, 0, "", [])),
    *((name, value) for name in ("error_type", "error_code") for value in (5, True, [], {})),
    *(("tags", value) for value in ([], "x", 5, [["a", "b"]])),
    ("tags", {f"key {number}": "x" for number in range(51)}),
    ("tags", {"": "x"}),
    ("tags", {"x" * 101: "x"}),
    *(("timestamp", value) for value in ("", "today", "2025-01-15", 1736942400, True)),
    *(("timestamp", f"2025-01-15T12:00{rest}") for rest in ("Z", ":00", ":00+0100", ":00,5Z")),
    *(("timestamp", f"2025-01-15T12:00{rest}") for rest in (":00.Z", ":00 Z", ":00+25:00", ":61Z")),
    *(("timestamp", value) for value in ("2025-02-30T12:00:00Z", "2025-01-15T24:00:00Z")),
    *(("timestamp", value) for value in ("20250115T120000Z", "2025-W03-3T12:00:00Z")),
    *(("timestamp", value) for value in (f"{ARABIC}T12:00:00Z", "2025-01-15T12:00:00Z\n")),
    *(("timestamp", value) for value in ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00")),
    *(
        ("timestamp", value)
        for value in ("2014-12-31T23:59:59.999999Z", "2015-01-01T00:00:00+00:01")
    ),
    *(
        (name, value)
        for name in ("prompt", "messages", "response", "tool_calls")
        for value in ("x",)
    ),
    *((name, 1) for name in ("Model", "cost", "cost_usd ", "", "a/b", "input-tokens")),
]


def escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def ids(value: Any) -> str | None:
    """Short and printable: the very long ones would fill the terminal."""
    return repr(value)[:30] if isinstance(value, str | dict | list) else None


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS, ids=ids)
def test_bad_field_is_named(api, name, value):
    response = api.post("/v1/events", event(**CUSTOMER) | {name: value})
    assert pointers(response) == {f"/{escaped(name)}"}


@pytest.mark.parametrize("name", [*COUNTS, *PARTS, "total_tokens", "cost_usd"])
def test_number_of_5000_digits_is_named(api, name):
    raw = json.dumps(event() | {name: "HUGE"}).replace('"HUGE"', "1" * 5000)
    assert pointers(api.post("/v1/events", raw.encode())) == {f"/{name}"}


BAD_TAGS = [
    *(("key", value) for value in (None, [], {}, ["x"], {"a": "b"}, "x" * 501, 10**600)),
    ("a/b~c", None),
]


@pytest.mark.parametrize(("key", "value"), BAD_TAGS, ids=ids)
def test_bad_tag_is_named(api, key, value):
    response = api.post("/v1/events", event(tags={key: value, "good": "x"}))
    assert pointers(response) == {f"/tags/{escaped(key)}"}


@pytest.mark.parametrize("name", ["model", "provider", "input_tokens", "output_tokens"])
def test_missing_field_is_named(api, name):
    assert pointers(api.post("/v1/events", event(**{name: None}))) == {f"/{name}"}
    assert pointers(api.post("/v1/events", event() | {name: None})) == {f"/{name}"}


@pytest.mark.parametrize("name", CUSTOMER)
def test_half_an_entity_is_named(api, name):
    named = pointers(api.post("/v1/events", event(**{name: "acme"})))
    assert named
    assert named <= {"/entity_type", "/entity_id"}


@pytest.mark.parametrize("parts", [(60, 41), (0, 101), (101, 0)])
def test_cache_tokens_beyond_input_are_named(api, parts):
    read, write = parts
    sent = event(cache_read_tokens=read, cache_write_tokens=write)
    named = pointers(api.post("/v1/events", sent))
    assert named
    assert named <= {"/cache_read_tokens", "/cache_write_tokens"}


@time_machine.travel("2025-06-01T12:00:00Z", tick=False)
def test_timestamp_may_lie_24_hours_ahead_and_no_more(api):
    api.send(event(timestamp="2025-06-02T12:00:00Z"), event(timestamp="2015-01-01T00:00:00Z"))
    late = api.post("/v1/events", event(timestamp="2025-06-02T12:00:00.000001Z"))
    assert pointers(late) == {"/timestamp"}


TEXTS = [*NAMES, "entity_type", "entity_id", "error_type", "error_code"]


@pytest.mark.parametrize("bad", [r"a\u0000b", r"\ud800", r"\udc00\ud800", r"\ud83d x"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_that_cannot_be_stored_is_named(api, name, bad):
    raw = json.dumps(event(**CUSTOMER) | {name: "BAD"}).replace("BAD", bad)
    assert pointers(api.post("/v1/events", raw.encode())) == {f"/{name}"}
    batch = api.post("/v1/events", f'{{"events": [{raw}]}}'.encode()).json()
    assert [error["pointer"] for error in batch["results"][0]["errors"]] == [f"/{name}"]


@pytest.mark.parametrize("bad", [r"a\u0000b", r"\ud800"])
@pytest.mark.parametrize("tags", ['{"BAD": "x"}', '{"x": "BAD"}'])
def test_tags_that_cannot_be_stored_are_named(api, tags, bad):
    raw = json.dumps(event(tags="TAGS")).replace('"TAGS"', tags.replace("BAD", bad))
    (named,) = pointers(api.post("/v1/events", raw.encode()))
    assert named.startswith("/tags")


@pytest.mark.parametrize("bad", [r"a\u0000b", r"\ud800"])
def test_unknown_field_of_any_name_is_refused(api, bad, caplog):
    caplog.set_level(logging.CRITICAL, "django.request")  # xdist cannot report a surrogate
    raw = json.dumps(event() | {"BAD": 1}).replace("BAD", bad)
    assert len(pointers(api.post("/v1/events", raw.encode()))) == 1


def test_raw_control_characters_and_bad_utf8_are_not_json(api):
    raw = json.dumps(event(model="BAD")).encode()
    for bad in (b"\0", b"\n", b"\xff", b"\xed\xa0\x80"):
        problem(api.post("/v1/events", raw.replace(b"BAD", bad)), 400)


def test_several_faults_of_an_event_are_all_named(api):
    sent = {
        "id": "",
        "timestamp": "today",
        "provider": 5,
        "input_tokens": -1,
        "cost_usd": "x",
        "tags": {"a": None, "b": [], "c": "fine"},
        "success": "yes",
        "prompt": "secret",
        "entity_type": "customer",
    }
    named = pointers(api.post("/v1/events", sent))
    own = {"/id", "/timestamp", "/provider", "/input_tokens", "/cost_usd", "/success", "/prompt"}
    assert named >= own | {"/tags/a", "/tags/b", "/model", "/output_tokens"}
    assert named - own - {"/tags/a", "/tags/b", "/model", "/output_tokens"} <= {
        "/entity_type",
        "/entity_id",
    }


def test_faults_between_fields_are_named_beside_the_others(api):
    sent = event(
        model=None,
        cache_read_tokens=101,
        reasoning_tokens=51,
        total_tokens=149,
        timestamp="2014-01-01T00:00:00Z",
        entity_id="acme",
    )
    named = pointers(api.post("/v1/events", sent))
    assert named >= {"/model", "/cache_read_tokens", "/reasoning_tokens", "/total_tokens"}
    assert "/timestamp" in named
    assert named & {"/entity_type", "/entity_id"}


def test_no_answer_repeats_what_must_not_be_stored(api):
    for name in ("prompt", "model", "timestamp", "cost_usd", "tags"):
        response = api.post("/v1/events", event() | {name: {"text": ["a secret"]}})
        problem(response, 422)
        assert b"a secret" not in response.content


def test_largest_event_is_accepted_whole(api):
    largest = event(
        id="i" * 200,
        timestamp="2015-01-01T00:00:00Z",
        model="m" * 200,
        provider="p" * 200,
        input_tokens=10**12,
        output_tokens=10**12,
        cache_read_tokens=5 * 10**11,
        cache_write_tokens=5 * 10**11,
        reasoning_tokens=10**12,
        total_tokens=2 * 10**12,
        cost_usd="999999999.9999999999",
        latency_ms=10**12,
        entity_type="t" * 200,
        entity_id="😀" * 200,
        session_id="s" * 200,
        tags={f"{number:0100}": "😀" * 500 for number in range(50)},
    )
    api.send(largest)
    (row,) = api.read("/v1/events")["data"]
    assert largest | row | {"timestamp": "2015-01-01T00:00:00Z"} == row
    assert row["tags"] == largest["tags"]
