"""Bodies that are broken, malicious or too large: refused, at once, and at no cost to others."""

import gzip
import json
import time
from collections.abc import Iterator
from random import Random

import psutil
import pytest

from events.body import MAX_BYTES
from tests.conftest import event
from tests.problems import problem

WHOLE = event(
    id="id-1",
    entity_type="customer",
    entity_id="acme",
    session_id="s",
    tags={"env": "prod", "n": 3},
    latency_ms=12,
    success=True,
)
VALUES = [
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999999999", b"-1e-999999999", b"1E400", b"-0.0"),
    *(b"9" * 5000, b"0." + b"9" * 5000, b"9223372036854775808", b"-1", b"0x1", b"01", b"+1", b"."),
    *(
        b'"\\u0000"',
        b'"\\ud800"',
        b'"\\udfff\\ud800"',
        b'"\\uZZZZ"',
        b'"\x00"',
        b'"\xff\xfe"',
        b'"\\',
    ),
    *(b"[" * 2000 + b"]" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"[" * 100_000, b"[[],{}]"),
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'"' + b"x" * 100_000 + b'"',
        b"1.0",
        b"1e2",
        b" ",
        b"",
    ),
    *(b'"2025-01-15T12:00:00"', b'"0000-00-00T00:00:00Z"', b'"9999-12-31T23:59:59-23:59"'),
]


def mutated(random: Random) -> bytes:
    """A body with something wrong with it, or not."""
    raw = json.dumps(random.choice([WHOLE, {"events": [WHOLE, WHOLE]}])).encode()
    for _ in range(random.choice([1, 1, 2, 4])):
        raw = random.choice(MUTATIONS)(raw, random)
    return raw


def truncate(raw: bytes, random: Random) -> bytes:
    return raw[: random.randint(0, len(raw))]


def replace_a_value(raw: bytes, random: Random) -> bytes:
    at = [index for index in range(len(raw)) if raw[index : index + 2] == b": "]
    if not at:
        return raw
    start = random.choice(at) + 2
    ends = [raw.find(sign, start) for sign in (b",", b"}", b"]")]
    end = min((found for found in ends if found > 0), default=len(raw))
    return raw[:start] + random.choice(VALUES) + raw[end:]


def repeat_a_key(raw: bytes, random: Random) -> bytes:
    name = random.choice([*WHOLE, "events", "tags", "prompt"]).encode()
    return raw[:1] + b'"' + name + b'": ' + random.choice(VALUES) + b"," + raw[1:]


def flip_bytes(raw: bytes, random: Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(random.randint(1, 8)):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def insert(raw: bytes, random: Random) -> bytes:
    at = random.randint(0, len(raw))
    return (
        raw[:at]
        + random.choice([*VALUES, b",", b'"', b"\\", b"}", b"]", b"\xef\xbb\xbf"])
        + raw[at:]
    )


MUTATIONS = [truncate, replace_a_value, replace_a_value, repeat_a_key, flip_bytes, insert]


def batches(count: int, random: Random) -> Iterator[tuple[bytes, str]]:
    """Bodies with their content type; some compressed in vain."""
    for _ in range(count):
        kind = random.choice(["application/json"] * 3 + ["application/x-ndjson"])
        yield mutated(random), kind


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.soak)])
def test_mutated_bodies_are_refused_or_stored_and_cost_nothing(api, count, figures):
    random, statuses = Random("bodies"), dict.fromkeys((200, 201, 400, 409, 422), 0)
    process = psutil.Process()
    for number, (body, kind) in enumerate(batches(count, random)):
        packed = {"content_encoding": "gzip"} if random.random() < 0.05 else {}
        sent = body if not packed or random.random() < 0.3 else gzip.compress(body, 1)
        answer = api.post("/v1/events", sent, content_type=kind, **packed)
        assert answer.status_code in statuses, (
            answer.status_code,
            body[:500],
            answer.content[:500],
        )
        if answer.status_code >= 400:
            problem(answer, answer.status_code)
        statuses[answer.status_code] += 1
        if number == count // 5:  # by then all is imported and cached
            before = process.memory_info().rss
    grown = (process.memory_info().rss - before) / 2**20
    figures.show(f"of {count} mutated bodies 5xx", 0, "0")
    figures.show("memory grown by MiB", f"{grown:.1f}", "<= 50")
    assert grown <= 50
    assert min(statuses.values()) > 0


DEEP = b"[" * 2000 + b"]" * 2000


@pytest.mark.parametrize(
    "deep",
    [
        *(b'{"prompt": ' + DEEP + b"}", DEEP, b'{"a":' * 5000 + b"1" + b"}" * 5000),
        json.dumps(WHOLE).encode()[:-1] + b', "tags": {"a": ' + DEEP + b"}}",
        json.dumps(WHOLE).encode()[:-1] + b', "cost_usd": ' + DEEP + b"}",
    ],
)
def test_an_item_nested_too_deeply_costs_itself_alone(api, deep):
    good = json.dumps(event(id="good", error_type='a "[" in a text')).encode()
    answer = api.post("/v1/events", b'{"events": [' + good + b", " + deep + b"]}").json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert answer["results"][0]["index"] == 1
    assert api.post("/v1/events", deep).status_code == 422


@pytest.mark.parametrize(
    "raw",
    [
        *(b"[" * 16_000_000, b'{"events": [' + b"[" * 5000, b'[{"a":' * 2_000_000),
        *(b'{"events": [' + DEEP + b'"' * 9_000_000, DEEP + b'\\"' * 7_000_000),
        b'{"events": [' + DEEP + b", " + b'"",' * 5_000_000 + b"]}",
    ],
)
def test_what_is_deep_and_no_json_is_refused_soon(api, raw):
    began = time.process_time()
    problem(api.post("/v1/events", raw), 400)
    assert time.process_time() - began < 3


def bomb() -> bytes:
    """1 GiB of blanks in 1 MiB: members, which gzip reads as one file."""
    return gzip.compress(b" " * 2**26, 9) * 16


@pytest.mark.parametrize(
    ("name", "body", "encoding"),
    [
        ("a gzip bomb of 1 GiB", bomb(), "gzip"),
        ("a gzip bomb of 64 MiB", gzip.compress(b" " * 2**26, 9), "gzip"),
        ("16 MiB and a byte", b" " * (MAX_BYTES + 1), "identity"),
    ],
)
def test_what_is_too_large_is_refused_within_a_second(api, figures, name, body, encoding):
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    answer = api.post("/v1/events", body, content_encoding=encoding)
    took = time.perf_counter() - began
    problem(answer, 413)
    figures.show(f"{name} refused in s", f"{took:.3f}", "<= 1")
    assert took <= 1
    assert psutil.Process().memory_info().rss - before < 64 * 2**20
