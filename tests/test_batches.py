"""How events come in: in batches, as lines, compressed, in chunks; one bad item, all or none."""

import gzip
import io
import json
from typing import Any

import pytest

from tests.conftest import Api, event
from tests.problems import parameters, pointers, problem

MIB = 2**20


def test_37_bad_events_of_1000_cost_none_of_the_963_good_ones(api):
    events = [event(id=str(number)) for number in range(1000)]
    bad = range(5, 1000, 27)
    for index in bad:
        events[index]["input_tokens"] = -1
    assert len(bad) == 37
    answer = api.post("/v1/events", {"events": events}).json()
    results = answer.pop("results")
    assert answer == {"accepted": 963, "duplicates": 0, "conflicts": 0, "rejected": 37}
    assert [(row["index"], row["id"], row["status"]) for row in results] == [
        (index, str(index), "rejected") for index in bad
    ]
    assert {error["pointer"] for row in results for error in row["errors"]} == {"/input_tokens"}
    assert api.read("/v1/events")["pagination"]["total"] == 963


def test_atomic_batch_is_stored_whole_or_not_at_all(api):
    path = "/v1/events?atomic=true"
    good = [event(id="a"), event(id="b")]
    refused = api.post(path, {"events": [*good, event(input_tokens=-1), event(model=None)]})
    assert pointers(refused) == {"/events/2/input_tokens", "/events/3/model"}
    assert total(api) == 0
    assert api.post(path, {"events": good}).json()["accepted"] == 2
    again = api.post(path, {"events": [*good, event(id="c")]}).json()
    assert (again["accepted"], again["duplicates"]) == (1, 2)
    conflict = api.post(path, {"events": [event(id="d"), event(id="a", input_tokens=1)]})
    assert pointers(conflict) == {"/events/1/id"}
    assert total(api) == 3
    assert parameters(api.post("/v1/events?atomic=perhaps", {"events": []})) == {"atomic"}


def total(api: Api) -> int:
    """How many events are stored."""
    return api.read("/v1/events")["pagination"]["total"]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"not json", b'{"events": [}', b'{"events": [{]}', b"\xff\xfe", b"{'a': 1}"),
        *(b"{} x", b'{"cost_usd": NaN}', b"[" * 10_000, b'{"a":' * 10_000),
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_body_that_is_not_json_is_400(api, raw):
    problem(api.post("/v1/events", raw), 400)


@pytest.mark.parametrize("body", [[], [event()], "text", 5, None, True])
def test_body_that_is_no_object_is_422(api, body):
    assert pointers(api.post("/v1/events", body)) == {""}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"events": {}}, "/events"),
        ({"events": None}, "/events"),
        ({"events": "x"}, "/events"),
        ({"events": [], "atomic": True}, "/atomic"),
        ({"events": [{}] * 10_001}, "/events"),
    ],
    ids=["object", "null", "text", "unknown", "10001"],
)
def test_bad_batch_is_422(api, body, pointer):
    assert pointers(api.post("/v1/events", body)) == {pointer}


@pytest.mark.parametrize("item", [None, 5, "x", [], [event()]])
def test_batch_item_that_is_no_object_is_rejected_alone(api, item):
    answer = api.post("/v1/events", {"events": [item, event()]}).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert answer["results"][0]["index"] == 0


def test_empty_batch_is_accepted(api):
    api.send()


def padded(size: int) -> bytes:
    """A batch of one event that takes `size` bytes."""
    raw = json.dumps({"events": [event()]}).encode()
    return raw + b" " * (size - len(raw))


def chunked(api: Api, raw: bytes, **headers: str) -> Any:
    """A request whose length is not told ahead, as a server hands it to the application."""
    return api.http.generic(
        "POST",
        "/v1/events",
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.key}", "Transfer-Encoding": "chunked"} | headers,
        **{"wsgi.input": io.BytesIO(raw), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )


def test_body_of_16_mib_is_read_and_one_byte_more_is_413(api):
    most, more = padded(16 * MIB), padded(16 * MIB + 1)
    assert api.post("/v1/events", most).json()["accepted"] == 1
    assert (
        api.post("/v1/events", gzip.compress(most, 1), content_encoding="gzip").status_code == 200
    )
    assert chunked(api, most).json()["accepted"] == 1
    problem(api.post("/v1/events", more), 413)
    problem(api.post("/v1/events", gzip.compress(more, 1), content_encoding="gzip"), 413)
    problem(chunked(api, more), 413)
    assert total(api) == 3


def test_gzip_bomb_is_413(api):
    zeros = gzip.compress(b"0" * 64 * MIB, 9)
    assert len(zeros) < MIB
    problem(api.post("/v1/events", zeros, content_encoding="gzip"), 413)
    many = gzip.compress(b" " * MIB) * 17
    problem(api.post("/v1/events", many, content_encoding="gzip"), 413)


def test_broken_gzip_is_400(api):
    whole = gzip.compress(padded(1000))
    for raw in (padded(1000), whole[:-9], whole[:20], b"", whole + b"garbage", b"\x1f\x8b"):
        problem(api.post("/v1/events", raw, content_encoding="gzip"), 400)
    assert total(api) == 0


def test_other_encodings_are_415(api):
    problem(api.post("/v1/events", padded(1000), content_encoding="br"), 415)


NDJSON = "application/x-ndjson"


def lines(*events: Any) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_ndjson_is_a_batch(api, end):
    raw = lines(event(), event(input_tokens=-1), event()) + end
    answer = api.post("/v1/events", raw, content_type=NDJSON).json()
    (rejected,) = answer.pop("results")
    assert answer == {"accepted": 2, "duplicates": 0, "conflicts": 0, "rejected": 1}
    assert (rejected["index"], rejected["errors"][0]["pointer"]) == (1, "/input_tokens")


def test_ndjson_line_that_is_not_json_costs_no_other(api):
    raw = lines(event(), event()).replace(b"\n", b"\n{oops\n")
    answer = api.post("/v1/events", raw, content_type=NDJSON).json()
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert answer["results"][0]["index"] == 1


def test_ndjson_of_10001_lines_is_422(api):
    raw = b"{}\n" * 10_001
    assert pointers(api.post("/v1/events", raw, content_type=NDJSON)) == {"/events"}


def test_compressed_ndjson(api):
    raw = gzip.compress(lines(event(), event()))
    answer = api.post("/v1/events", raw, content_type=NDJSON, content_encoding="gzip").json()
    assert answer["accepted"] == 2


def test_chunked_body(api):
    assert chunked(api, padded(1000)).json()["accepted"] == 1
    packed = gzip.compress(padded(1000))
    assert chunked(api, packed, **{"Content-Encoding": "gzip"}).json()["accepted"] == 1
