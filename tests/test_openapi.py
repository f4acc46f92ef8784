"""The OpenAPI document: complete, committed, and true of what the API answers."""

import gzip
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import OperationalError
from django.test import Client
from django.urls import URLResolver, get_resolver
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework.exceptions import ValidationError

from analytics.models import Anomaly
from analytics.params import GroupByField
from apikeys import limits
from apikeys.models import issue_key
from config.openapi import parameters, views
from events.body import MAX_BYTES
from events.models import Entity
from events.params import NameField, TagsField
from tests import v2
from tests.conftest import Api, event, new_api

DOCS = Path(__file__).parent.parent / "docs"
COMMAND = "python manage.py spectacular --file docs/openapi.yaml --validate --fail-on-warn"
DOCUMENT = json.loads(views.as_json())
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
BOTH = {"period1_start": "2025-01-16", "period1_end": "2025-01-31"} | {
    "period2_start": "2025-01-01",
    "period2_end": "2025-01-15",
}


def check(schema: Any, value: Any) -> None:
    """Fails unless `value` is as the schema says."""
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


def resolved(found: Any) -> Any:
    """What a reference refers to; anything else is itself."""
    if "$ref" not in found:
        return found
    _, _, kind, name = found["$ref"].split("/")
    return DOCUMENT["components"][kind][name]


def examples_of(content: Any) -> list[Any]:
    """The examples of a parameter or a body."""
    if "example" in content:
        return [content["example"]]
    return [example["value"] for example in content.get("examples", {}).values()]


def bodies(operation: Any) -> Iterator[tuple[str, Any]]:
    """The media types of an operation with their contents, those of errors included."""
    yield from operation.get("requestBody", {"content": {}})["content"].items()
    for response in operation["responses"].values():
        yield from resolved(response)["content"].items()


def test_snapshot_is_committed():
    assert views.as_yaml() == (DOCS / "openapi.yaml").read_bytes(), (
        f"The API has changed. Run: {COMMAND}"
    )


def test_every_route_is_described():
    assert {route for route, _ in routes(get_resolver().url_patterns, "/")} == OPERATIONS.keys()


def routes(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Every method of every address of the API, with its view."""
    for pattern in patterns:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif path.startswith(("/v1/", "/api/")) and not path.endswith("/"):
            view = pattern.callback.view_class
            names = set(view.http_method_names) - {"options", "head"}
            yield from ((f"{name.upper()} {path}", view) for name in names if hasattr(view, name))


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_operation_is_explained_with_examples(operation):
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in [tag["name"] for tag in DOCUMENT["tags"]]
    assert operation["security"] == [{"ApiKey": []}]
    assert {"400", "401", "403", "429", "503"} <= operation["responses"].keys()
    for parameter in operation.get("parameters", []):
        assert parameter["description"]
        assert examples_of(parameter) or not parameter.get("required")
        for example in examples_of(parameter):
            check(parameter["schema"], example)
    for _, content in bodies(operation):
        assert examples_of(content)
        for example in examples_of(content):
            check(content["schema"], example)


@pytest.fixture(scope="module")
def full() -> Api:
    """An account that has some of everything, also what is unattributed, unpriced or failed."""
    api = new_api(email="costs@example.com", company="Example GmbH")
    acme = {"entity_type": "customer", "entity_id": "acme"}
    api.send(
        event(id="a/b", **acme, session_id="s", tags={"env": "prod"}, latency_ms=5),
        event(model="nobody-knows", cost_usd=None, session_id="t"),
        event(**acme, success=False, error_type="timeout", error_code="504"),
        event(timestamp="2025-01-16T10:20:30.123456+05:45", reasoning_tokens=3, **acme),
        *(event(entity_type=kind, entity_id="1") for kind in ("agent", "project", "team", "user")),
    )
    for entity in (None, Entity.objects.get(account=api.account, entity_type="customer")):
        Anomaly.objects.create(
            account=api.account,
            entity=entity,
            date="2025-01-15",
            type="cost_spike",
            severity="high",
            detected_at="2025-01-15T10:30:00Z",
            description="Cost increased 340% compared to 7-day average",
            expected_value="12.50",
            actual_value="55.00",
        )
    return api


ASKED: dict[str, list[dict[str, Any]]] = {
    "GET /v1/me": [{}],
    "GET /v1/events": [{}, JANUARY | {"limit": 1, "success": "true"}],
    "GET /v1/events/{event_id}": [{}],
    "GET /v1/entities": [{}, {"type": "customer"}],
    "GET /v1/analytics/costs": [
        JANUARY,
        *(JANUARY | {"group_by": name} for name in ("entity", "provider,hour", "model,tags.env")),
        *(JANUARY | {"group_by": name} for name in ("day", "week", "month,entity_type")),
        JANUARY | {"timezone": "Asia/Kathmandu", "group_by": "hour", "tags": r"a\,b:c"},
    ],
    "GET /v1/analytics/costs/accuracy": [JANUARY, JANUARY | {"provider": "openai"}],
    "GET /v1/prices": [{"limit": 3}, {"model": "deepseek-chat"}],
    "GET /v1/analytics/costs/timeseries": [
        JANUARY | {"interval": name, "timezone": "Asia/Kathmandu"} for name in ("hour", "week")
    ],
    "GET /v1/analytics/models": [JANUARY],
    "GET /v1/analytics/entities/top": [JANUARY | {"order": "asc"}],
    "GET /v1/analytics/sessions": [JANUARY, JANUARY | {"model": "none"}],
    "GET /v1/analytics/anomalies": [JANUARY],
    "GET /v1/analytics/compare": [
        BOTH,
        BOTH | {"model": "none"},
        *(BOTH | {"explain": "true", "model": name} for name in ("gpt-4o", "none")),
    ],
}


ASKED |= {
    f"GET {v2.PREFIX}{path}": [{}, v2.JANUARY, v2.JANUARY | {"time_series": "true"}]
    for path in v2.ANSWERED
}
NOT_HERE = [f"GET {v2.PREFIX}{path}" for path in v2.UNANSWERED]


@pytest.mark.parametrize("name", NOT_HERE)
def test_what_has_no_answer_is_described_so(api, name):
    response = api.get(name.removeprefix("GET "))
    assert response.status_code == 501
    described(name, response)


@pytest.mark.parametrize("name", ASKED)
def test_answers_are_as_described(full, name):
    path = name.removeprefix("GET ").replace("{event_id}", "a/b")
    contents = OPERATIONS[name]["responses"]["200"]["content"]
    for params in ASKED[name]:
        described(name, full.get(path, **params))
        if "text/csv" in contents:
            described(name, full.get(path, **params, format="csv"))


def described(name: str, response: Any) -> None:
    """Fails unless the schema has the response's status, type, headers and body."""
    found = resolved(OPERATIONS[name]["responses"][str(response.status_code)])
    media_type = response.headers["Content-Type"].partition(";")[0]
    for header, about in found["headers"].items():
        text = response.headers[header]
        about = resolved(about)
        check(about["schema"], int(text) if about["schema"]["type"] == "integer" else text)
    if media_type != "text/csv":
        check(found["content"][media_type]["schema"], response.json())
    else:
        assert b"\r\n" in b"".join(response.streaming_content)


def test_a_changed_anomaly_is_as_described(full):
    name = "PATCH /v1/analytics/anomalies/{anomaly_id}"
    for anomaly in Anomaly.objects.filter(account=full.account):
        path = f"/v1/analytics/anomalies/{anomaly.public_id}"
        for body, status in (({"status": "dismissed"}, 200), ({"status": "x"}, 422)):
            headers = {"Authorization": f"Bearer {full.key}"}
            answer = full.http.patch(path, json.dumps(body), "application/json", headers=headers)
            assert answer.status_code == status
            described(name, answer)


def test_outcomes_of_events_are_as_described(api):
    described_post = partial(described, "POST /v1/events")
    bad = {**event(), "model": 1, "prompt": "x"}
    for sent, status in [
        (event(id="1"), 201),
        (event(id="1"), 200),
        (event(id="1", model="other"), 409),
        (bad, 422),
        ({"events": [event(), bad, event(id="1"), event(id="1", model="other"), 7]}, 200),
        (b"{", 400),
        (b" " * (MAX_BYTES + 1), 413),
    ]:
        response = api.post("/v1/events", sent)
        assert response.status_code == status
        described_post(response)
    described_post(api.post("/v1/events?atomic=true", {"events": [event(), bad]}))
    described_post(api.post("/v1/events", event(), content_encoding="br"))
    lines = gzip.compress(b"\n".join(json.dumps(event()).encode() for _ in range(3)))
    packed = api.post(
        "/v1/events", lines, content_type="application/x-ndjson", content_encoding="gzip"
    )
    assert packed.json()["accepted"] == 3
    described_post(packed)


def test_errors_are_as_described(api, monkeypatch):
    described("GET /v1/events", api.get("/v1/events", color="red", limit=0))
    described("GET /v1/events/{event_id}", api.get("/v1/events/nobody"))
    described("GET /v1/me", Client().get("/v1/me"))
    writer = Api(api.account, issue_key(api.account, scopes=["ingest"])[1])
    described("GET /v1/me", writer.get("/v1/me"))
    throttled = new_api(requests_per_minute=1)
    answers = [throttled.get("/v1/me") for _ in range(3)]  # a minute may end in between
    assert answers[2].status_code == 429
    described("GET /v1/me", answers[2])

    def fail(*args: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(limits, "take", fail)
    described("GET /v1/me", api.get("/v1/me"))


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_described_parameters_are_known_and_no_others(api, name):
    method, path = name.split()
    found = OPERATIONS[name].get("parameters", [])
    known = [parameter["name"] for parameter in found if parameter["in"] == "query"]
    query = "&".join(f"{parameter}=%00" for parameter in [*known, "surprise"])
    response = api.http.generic(
        method,
        f"{path}?{query}",
        json.dumps(event()) if method != "GET" else "",
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.key}"},
    )
    text = json.dumps(response.json())
    if name not in NOT_HERE:
        assert re.findall(r"Unknown parameter `(\w+)`", text) == ["surprise"]


@given(st.text(alphabet="ab:,\\\n", max_size=12))
def test_pattern_of_tags_says_what_is_accepted(text):
    pattern = parameters.SCHEMAS[TagsField]["pattern"]
    assert bool(re.search(pattern.replace("$", r"\Z"), text)) == accepts(TagsField(), text)


@given(st.lists(st.sampled_from(["entity", "model", "day", "hour", "tags.a", r"tags.\,", "x"])))
def test_pattern_of_group_by_says_what_is_accepted(names):
    text = ",".join(dict.fromkeys(names))
    pattern = parameters.SCHEMAS[GroupByField]["pattern"]
    assert bool(re.search(pattern, text)) == accepts(GroupByField(), text)


def accepts(field: NameField, text: str) -> bool:
    try:
        field.run_validation(text)
    except ValidationError:
        return False
    return True


def test_schema_is_public_in_both_formats():
    assert yaml.safe_load(Client().get("/schema").content) == DOCUMENT
    assert Client().get("/schema", {"format": "json"}).json() == DOCUMENT
    assert Client().get("/schema", {"format": "xml"}).status_code == 400


def test_api_page_shows_the_examples_and_fields_of_the_schema():
    page = (DOCS / "api.md").read_text()
    known = [
        example for op in OPERATIONS.values() for _, c in bodies(op) for example in examples_of(c)
    ]
    for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL):
        assert json.loads(block) in known, block
    rows = page.partition("## Events")[2].partition("**Identity.**")[0]
    fields = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", rows, re.MULTILINE)))
    assert set(fields) == DOCUMENT["components"]["schemas"]["EventIn"]["properties"].keys()


def test_docs_need_nobody_else():
    page = Client().get("/docs").content.decode()
    assets = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(assets) >= 3
    assert "/docs?script=" in assets  # a script in the page itself would be refused by its policy
    for asset in assets:
        response = Client().get(asset)
        assert response.status_code == 200, asset
        response.close()
    script = Client().get("/docs?script=").content.decode()
    assert 'validatorUrl": null' in script
    assert "://" not in page + script
