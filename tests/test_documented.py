"""Every example of the reference document, answered as it is printed there."""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import time_machine
from django.core.wsgi import get_wsgi_application

from analytics.models import Anomaly
from events.models import Entity
from tests.conftest import Api, event, new_api
from tests.oracle import Number

JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
ACME = {"entity_type": "customer", "entity_id": "acme-corp"}
GLOBEX = {"entity_type": "customer", "entity_id": "globex"}

MEASURES = [
    *("failed_events", "total_cache_read_tokens", "total_cache_write_tokens"),
    *("total_reasoning_tokens", "unpriced_events"),
]

ANOMALY_ADDITIONS = ["date", "contributors", "status_changed_at", "status_changed_by"]

COSTS = """{
  "data": [
    {
      "entity_type": "customer",
      "entity_id": "acme-corp",
      "total_cost": 523.45,
      "total_events": 15234,
      "total_input_tokens": 2500000,
      "total_output_tokens": 8500000,
      "avg_latency_ms": 1150
    },
    {
      "entity_type": "customer",
      "entity_id": "globex",
      "total_cost": 312.20,
      "total_events": 8921,
      "total_input_tokens": 1200000,
      "total_output_tokens": 5100000,
      "avg_latency_ms": 980
    }
  ],
  "summary": {
    "total_cost": 835.65,
    "total_events": 24155,
    "period": {
      "start": "2025-01-01",
      "end": "2025-01-31"
    }
  }
}"""

TIMESERIES = """{
  "data": [
    {
      "timestamp": "2025-01-01T00:00:00Z",
      "cost": 12.34,
      "events": 523
    },
    {
      "timestamp": "2025-01-02T00:00:00Z",
      "cost": 15.67,
      "events": 612
    }
  ],
  "interval": "day"
}"""

MODELS = """{
  "data": [
    {
      "model": "gpt-4o",
      "provider": "openai",
      "total_cost": 450.00,
      "total_events": 10000,
      "total_input_tokens": 2000000,
      "total_output_tokens": 6000000,
      "avg_latency_ms": 1200,
      "percentage_of_total": 54.2
    },
    {
      "model": "gpt-4o-mini",
      "provider": "openai",
      "total_cost": 85.00,
      "total_events": 25000,
      "total_input_tokens": 5000000,
      "total_output_tokens": 12000000,
      "avg_latency_ms": 450,
      "percentage_of_total": 10.2
    }
  ]
}"""

TOP = """{
  "data": [
    {
      "entity_type": "customer",
      "entity_id": "acme-corp",
      "total_cost": 523.45,
      "total_events": 15234,
      "rank": 1
    },
    {
      "entity_type": "customer",
      "entity_id": "globex",
      "total_cost": 312.20,
      "total_events": 8921,
      "rank": 2
    }
  ]
}"""

SESSIONS = """{
  "data": [
    {
      "session_id": "550e8400-e29b-41d4-a716-446655440000",
      "entity_type": "customer",
      "entity_id": "acme-corp",
      "started_at": "2025-01-15T10:00:00Z",
      "ended_at": "2025-01-15T10:15:00Z",
      "turn_count": 5,
      "total_cost": 0.0234,
      "total_tokens": 3500
    }
  ],
  "summary": {
    "total_sessions": 1523,
    "avg_turns_per_session": 4.2,
    "avg_cost_per_session": 0.0185
  }
}"""

ANOMALIES = """{
  "data": [
    {
      "id": "anomaly_123",
      "detected_at": "2025-01-15T10:30:00Z",
      "entity_type": "customer",
      "entity_id": "acme-corp",
      "type": "cost_spike",
      "severity": "high",
      "description": "Cost increased 340% compared to 7-day average",
      "expected_value": 12.50,
      "actual_value": 55.00,
      "status": "active"
    }
  ]
}"""

COMPARE = """{
  "period1": {
    "start": "2025-01-01",
    "end": "2025-01-15",
    "total_cost": 450.00,
    "total_events": 12000
  },
  "period2": {
    "start": "2024-12-16",
    "end": "2024-12-31",
    "total_cost": 380.00,
    "total_events": 10500
  },
  "changes": {
    "cost_change": 70.00,
    "cost_change_percent": 18.4,
    "events_change": 1500,
    "events_change_percent": 14.3
  }
}"""

CURLS = [
    """curl "https://api.infraprism.com/v1/analytics/costs?start_date=2025-01-01&end_date=2025-01-31&entity_type=customer&group_by=entity" \
  -H "Authorization: Bearer ip-..." """,  # noqa: E501
    """curl "https://api.infraprism.com/v1/analytics/costs/timeseries?start_date=2025-01-01&end_date=2025-01-31&interval=day" \
  -H "Authorization: Bearer ip-..." """,  # noqa: E501
]

PROGRAM = """\
import requests
from datetime import datetime, timedelta

API_KEY = "ip-your-api-key"
BASE_URL = "https://api.infraprism.com/v1"

def get_customer_costs(start_date: str, end_date: str):
    response = requests.get(
        f"{BASE_URL}/analytics/costs",
        headers={"Authorization": f"Bearer {API_KEY}"},
        params={
            "start_date": start_date,
            "end_date": end_date,
            "entity_type": "customer",
            "group_by": "entity",
        },
    )
    response.raise_for_status()
    return response.json()

# Get last 30 days of customer costs
end = datetime.now()
start = end - timedelta(days=30)
data = get_customer_costs(
    start.strftime("%Y-%m-%d"),
    end.strftime("%Y-%m-%d"),
)

for customer in data["data"]:
    print(f"{customer['entity_id']}: ${customer['total_cost']:.2f}")
"""


def read(text: str | bytes) -> Any:
    """JSON in which 450.00 is neither 450.0 nor "450.00", and the order of keys counts."""
    return json.loads(text, parse_float=Number, object_pairs_hook=lambda pairs: pairs)


def without(additions: Iterable[str], answer: Any) -> Any:
    """An answer of `read` less the keys that the contract adds to the document."""
    if isinstance(answer, list):
        return [
            (item[0], without(additions, item[1]))
            if isinstance(item, tuple)
            else without(additions, item)
            for item in answer
            if not (isinstance(item, tuple) and item[0] in additions)
        ]
    return answer


def calls(count: int, cost: str, tokens: tuple[int, int] = (0, 0), **fields: Any) -> Iterator[Any]:
    """That many events; the first one has all of their cost and tokens."""
    yield event(cost_usd=cost, input_tokens=tokens[0], output_tokens=tokens[1], **fields)
    for _ in range(count - 1):
        yield event(cost_usd="0", input_tokens=0, output_tokens=0, **fields)


def send(api: Api, *events: Iterator[Any]) -> None:
    """In batches as large as they may be."""
    waiting = itertools.chain(*events)
    while batch := list(itertools.islice(waiting, 10_000)):
        api.send(*batch)


def test_costs_and_leaderboard():
    api = new_api()
    send(
        api,
        calls(15234, "523.45", (2_500_000, 8_500_000), latency_ms=1150, **ACME),
        calls(8921, "312.20", (1_200_000, 5_100_000), latency_ms=980, **GLOBEX),
    )
    costs = api.get("/v1/analytics/costs", **JANUARY, entity_type="customer", group_by="entity")
    assert without(MEASURES, read(costs.content)) == read(COSTS)
    top = api.get("/v1/analytics/entities/top", **JANUARY)
    assert read(top.content) == read(TOP)


def test_time_series(api):
    send(
        api,
        calls(523, "12.34", timestamp="2025-01-01T00:00:00Z"),
        calls(612, "15.67", timestamp="2025-01-02T23:59:59.999999Z"),
    )
    answer = api.get("/v1/analytics/costs/timeseries", **JANUARY, interval="day").content
    shown = json.loads(answer)
    assert len(shown["data"]) == 31
    documented = dict(read(TIMESERIES))
    answered = dict(read(answer))
    assert answered["data"][:2] == documented["data"]
    assert list(answered) == list(documented)
    assert shown["data"][2:] == [
        {"timestamp": f"2025-01-{day:02}T00:00:00Z", "cost": 0, "events": 0} for day in range(3, 32)
    ]
    assert b'{"timestamp":"2025-01-31T00:00:00Z","cost":0.00,"events":0}' in answer


def test_models(api):
    send(
        api,
        calls(10_000, "450", (2_000_000, 6_000_000), latency_ms=1200),
        calls(25_000, "85", (5_000_000, 12_000_000), latency_ms=450, model="gpt-4o-mini"),
        calls(1, "295", model="what the document does not show", provider="another"),
    )
    answer = dict(read(api.get("/v1/analytics/models", **JANUARY).content))
    first, _, third = answer.pop("data")
    assert without(MEASURES, [first, third]) == dict(read(MODELS))["data"]
    assert answer == {}


def test_sessions(api):
    """1,523 sessions of 6,397 turns; the newest one is the document's."""
    documented = json.loads(SESSIONS)["data"][0]["session_id"]
    last = [
        event(
            timestamp=f"2025-01-15T10:{minute:02}:00Z",
            session_id=documented,
            cost_usd="0.00468",
            input_tokens=600,
            output_tokens=100,
            **ACME,
        )
        for minute in (0, 2, 4, 8, 15)
    ]
    turns = (f"session {number % 1522}" for number in range(6392))
    others = [
        event(session_id=name, cost_usd="0", timestamp="2025-01-14T10:00:00Z") for name in turns
    ]
    others[0]["cost_usd"] = "28.1521"
    api.send(*last, *others)
    answer = api.get("/v1/analytics/sessions", **JANUARY, limit=1)
    assert without(["unpriced_events"], read(answer.content)) == read(SESSIONS)


def test_anomalies(api):
    api.send(event(**ACME))
    anomaly = Anomaly.objects.create(
        account=api.account,
        entity=Entity.objects.get(account=api.account),
        date="2025-01-15",
        type="cost_spike",
        severity="high",
        detected_at=datetime(2025, 1, 15, 10, 30, tzinfo=UTC),
        description="Cost increased 340% compared to 7-day average",
        expected_value="12.50",
        actual_value="55",
    )
    answer = api.get("/v1/analytics/anomalies", **JANUARY, **ACME, status="active")
    expected = read(ANOMALIES.replace("anomaly_123", f"anomaly_{anomaly.pk}"))
    assert without(ANOMALY_ADDITIONS, read(answer.content)) == expected


def test_two_periods(api):
    send(
        api,
        calls(12_000, "450", timestamp="2025-01-15T23:59:59.999999Z"),
        calls(10_500, "380", timestamp="2024-12-16T00:00:00Z"),
        calls(1, "1000", timestamp="2025-01-16T00:00:00Z"),
        calls(1, "1000", timestamp="2024-12-15T23:59:59.999999Z"),
    )
    asked = {
        "period1_start": "2025-01-01",
        "period1_end": "2025-01-15",
        "period2_start": "2024-12-16",
        "period2_end": "2024-12-31",
    }
    assert read(api.get("/v1/analytics/compare", **asked).content) == read(COMPARE)
    assert api.csv("/v1/analytics/compare", **asked).split("\r\n")[1:] == [
        "period1,2025-01-01,2025-01-15,450.00,12000",
        "period2,2024-12-16,2024-12-31,380.00,10500",
        "change,,,70.00,1500",
        "change_percent,,,18.4,14.3",
        "",
    ]


@pytest.mark.parametrize(
    ("group_by", "keys"),
    [
        ("entity", {"entity_type": "customer", "entity_id": "acme-corp"}),
        ("model", {"model": "gpt-4o", "provider": "openai"}),
        ("day", {"day": "2025-01-15"}),
        ("week", {"week": "2025-01-13"}),
        ("month", {"month": "2025-01"}),
        ("tags.feature", {"tags.feature": "chatbot"}),
    ],
)
def test_every_documented_grouping(api, group_by, keys):
    api.send(event(**ACME, tags={"feature": "chatbot"}))
    (row,) = api.read("/v1/analytics/costs", **JANUARY, group_by=group_by)["data"]
    measures = [*list(json.loads(COSTS)["data"][0])[2:], *MEASURES]
    assert list(row) == [*keys, *measures]
    assert row | keys == row


@pytest.mark.parametrize(
    ("tags", "events"), [("feature:chatbot", 2), ("feature:chatbot,env:production", 1)]
)
def test_tag_filters(api, tags, events):
    api.send(
        event(tags={"feature": "chatbot", "env": "production"}),
        event(tags={"feature": "chatbot", "env": "test"}),
        event(tags={"feature": "search", "env": "production"}),
        event(),
    )
    answer = api.read("/v1/analytics/costs", **JANUARY, tags=tags)
    assert answer["summary"]["total_events"] == events


@pytest.mark.parametrize("command", CURLS)
def test_curl_commands_are_answered(api, command):
    api.send(event(**ACME))
    url, authorization = [word for word in shlex.split(command) if word not in ("curl", "-H")]
    name, value = authorization.replace("ip-...", api.key).split(": ")
    address = urlsplit(url)
    response = api.http.get(f"{address.path}?{address.query}", headers={name: value})
    assert response.status_code == 200
    assert sum(row.get("total_events", row.get("events")) for row in response.json()["data"]) == 1


def test_curl_without_dates_is_let_in_and_told_what_is_missing(api):
    response = api.get("/v1/analytics/costs")
    assert response.status_code == 400
    assert [error["parameter"] for error in response.json()["errors"]] == ["start_date", "end_date"]


def test_csv_export(api):
    api.send(event(**ACME))
    response = api.get("/v1/analytics/costs", **JANUARY, group_by="entity", format="csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="[\w-]+\.csv"', response["Content-Disposition"])
    header, row, end = b"".join(response.streaming_content).decode().split("\r\n")
    assert header.split(",") == [*json.loads(COSTS)["data"][0], *MEASURES]
    assert row == "customer,acme-corp,0.50,1,100,50,,0,0,0,0,0"
    assert end == ""


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """Where the product listens, over the same database."""
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_python_example_prints_one_line_per_customer(api, address):
    now = datetime.now(UTC).isoformat()
    long_ago = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    api.send(
        event(timestamp=now, **GLOBEX, cost_usd="312.20"),
        event(timestamp=now, **ACME, cost_usd="523.45"),
        event(timestamp=now, entity_type="team", entity_id="not a customer"),
        event(timestamp=long_ago, entity_type="customer", entity_id="not of late"),
    )
    changed = PROGRAM.replace("ip-your-api-key", api.key)
    changed = changed.replace("https://api.infraprism.com", address)
    command = [sys.executable, "-W", "error", "-c", changed]
    environment = os.environ | {"TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert (done.stdout, done.stderr) == ("acme-corp: $523.45\nglobex: $312.20\n", "")


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("450", b"450.00"),
        (450.0, b"450.00"),
        ("0.0234", b"0.0234"),
        (0.0234, b"0.0234"),
        ("0.3", b"0.30"),
        (0.3, b"0.30"),
        ("0.300", b"0.30"),
        ("0", b"0.00"),
        (100, b"100.00"),
        ("0.0000000001", b"0.0000000001"),
        (1e-10, b"0.0000000001"),
        (1.5e-7, b"0.00000015"),
        ("1000000", b"1000000.00"),
        ("999999999.9999999999", b"999999999.9999999999"),
    ],
)
def test_money_is_written_plainly_and_exactly(api, sent, written):
    api.send(event(id="one", cost_usd=sent))
    day = {"start_date": "2025-01-15", "end_date": "2025-01-15"}
    for path in ("costs", "models", "costs/timeseries"):
        answer = api.get(f"/v1/analytics/{path}", **day).content
        assert set(re.findall(rb'cost":([^,}]+)', answer)) == {written}
    assert b'"cost_usd":' + written + b"," in api.get("/v1/events/one").content


@pytest.mark.parametrize(
    ("costs", "written"),
    [
        (["0.1", "0.2"], b"0.30"),
        ([0.1] * 10, b"1.00"),
        (["0.0000000001"] * 3, b"0.0000000003"),
        (["999999999.9999999999"] * 1000, b"999999999999.9999999"),
        (["999999999"] * 2 + ["0.0000000001"], b"1999999998.0000000001"),
    ],
)
def test_sums_are_exact(api, costs, written):
    api.send(*[event(cost_usd=cost) for cost in costs])
    answer = api.get("/v1/analytics/costs", **JANUARY).content
    assert re.findall(rb'"total_cost":([^,}]+)', answer) == [written, written]


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        ("380", "450", b"18.4"),
        ("2000", "2001", b"0.1"),
        ("2000", "1999", b"-0.1"),
        ("2001", "2002", b"0.0"),
        ("2001", "2000", b"0.0"),
        ("100", "0", b"-100.0"),
        ("0", "100", b"null"),
        ("0.0000000001", "999999999.9999999999", b"999999999999999999800.0"),
    ],
)
def test_percentages_have_one_decimal_and_no_exponent(api, before, after, written):
    """Also of the smallest base that there is."""
    api.send(event(cost_usd=before), event(cost_usd=after, timestamp="2025-01-16T12:00:00Z"))
    asked = {
        "period1_start": "2025-01-16",
        "period1_end": "2025-01-16",
        "period2_start": "2025-01-15",
        "period2_end": "2025-01-15",
    }
    answer = api.get("/v1/analytics/compare", **asked).content
    assert re.findall(rb'"cost_change_percent":([^,}]+)', answer) == [written]


ROW = [
    *("id", "timestamp", "model", "provider", "input_tokens", "output_tokens", "total_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd", "latency_ms"),
    *("entity_type", "entity_id", "session_id", "tags", "success", "error_type", "error_code"),
    *("cache_write_1h_tokens", "service_tier", "cost_source"),
]
ENTITY = [
    *("entity_type", "entity_id", "name", "first_seen", "last_seen"),
    *("total_cost", "total_events"),
]
PAGE = {"total": 1, "limit": 100, "offset": 0, "has_more": False}
ME = ["id", "email", "name", "company", "plan", "created_at"]


def test_account_events_and_entities_have_their_keys(api):
    api.send(event(id="a/b", **ACME))
    assert list(api.read("/v1/me")) == ME
    assert list(api.read("/v1/events/a%2Fb")) == [*ROW, "computed_cost_usd", "breakdown"]
    for path, keys in (("/v1/events", ROW), ("/v1/entities", ENTITY)):
        answer = api.read(path)
        assert list(answer) == ["data", "pagination"]
        assert list(answer["data"][0]) == keys
        assert list(answer["pagination"].items()) == list(PAGE.items())
        assert api.csv(path).split("\r\n")[0].split(",") == keys


@pytest.mark.parametrize("path", ["/v1/me", "/v1/events", "/v1/entities", "/v1/events/none"])
@time_machine.travel("2025-06-01T12:00:20Z", tick=False)
def test_rate_limit_headers_are_on_every_authenticated_answer(api, path):
    headers = api.get(path).headers
    assert headers["X-RateLimit-Limit"] == "60000"
    assert headers["X-RateLimit-Remaining"] == "59999"
    assert headers["X-RateLimit-Reset"] == "1748779260"
