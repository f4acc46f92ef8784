"""Schemathesis: what the OpenAPI document allows, and what it does not, sent to every operation."""

import json
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection

from apikeys.authentication import bad_keys
from config.wsgi import application
from tests.conftest import Api, event, new_api
from tests.test_openapi import OPERATIONS

PERIODS = [("start_date", "end_date")]
PERIODS += [(f"period{number}_start", f"period{number}_end") for number in (1, 2)]
LONG = pytest.param(300, marks=pytest.mark.soak)
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE

schemathesis.openapi.format(
    "date", st.dates(date(2000, 1, 1), date(2100, 12, 31)).map(date.isoformat)
)
schemathesis.openapi.format(
    "date-time",
    st.dates(date(2015, 1, 2), date(2026, 1, 1)).map(lambda day: f"{day}T23:59:59.5+05:45"),
)
schemathesis.openapi.format(
    "time-zone", st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"}))
)


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    """The operations of the document, by method and path."""
    schema = schemathesis.openapi.from_wsgi("/schema?format=json", application)
    return {found.ok().label: found.ok() for found in schema.get_all_operations()}


@pytest.fixture(scope="module")
def asking() -> Api:
    """An account with something of everything."""
    api = new_api()
    acme = {"entity_type": "customer", "entity_id": "acme"}
    api.send(event(id="a", **acme, session_id="s", tags={"env": "x"}), event(cost_usd=None))
    return api


def possible(case: Case) -> Case:
    """The case with what no schema can say put right: rules between fields."""
    query = case.query or {}
    query.pop("atomic", None)  # a conflict then refuses the others
    (case.headers or {}).pop("Content-Encoding", None)  # that nothing is compressed for
    if query.get("type") == "range":
        query.setdefault("start_date", "2025-01-01")
        query.setdefault("end_date", "2025-01-31")
    for start, end in PERIODS:
        if start in query and end in query:
            query[start], query[end] = sorted([query[start][:10], query[end][:10]])
    if query.get("interval") == "hour" and "start_date" in query:
        day = date.fromisoformat(query["start_date"])
        query["end_date"] = min(day + timedelta(days=91), date(2100, 12, 31)).isoformat()
    if isinstance(case.body, dict):
        for sent in case.body.get("events") or case.body.get("prices") or [case.body]:
            if isinstance(sent, dict):
                put_right(sent)
    return case


def put_right(sent: dict[str, Any]) -> None:
    """Tokens said in one way, parts no larger than the whole, both names of an entity."""
    for name in ("total_tokens", "usage", "usage_convention", "cache_write_1h_tokens"):
        sent.pop(name, None)
    if "usd_per_unit" in sent:
        sent["usd_per_unit"] = f"{Decimal(str(sent['usd_per_unit'])):.24f}"
    elif "model" in sent:
        sent.setdefault("input_tokens", 1)
        sent.setdefault("output_tokens", 1)
    for part, whole in [
        ("cache_read_tokens", "input_tokens"),
        ("reasoning_tokens", "output_tokens"),
    ]:
        sent.pop("cache_write_tokens", None)
        if sent.get(part) is not None:
            sent[part] = min(sent[part], sent.get(whole, 0))
    if sent.get("entity_type") is None or sent.get("entity_id") is None:
        sent.pop("entity_type", None)
        sent.pop("entity_id", None)
    if sent.get("timestamp") is not None:
        sent["timestamp"] = "2025-01-15T12:00:00.123456789+05:45"


def excluded(case: Case, response: Any) -> list[Any]:
    """What Schemathesis cannot know: a batch answers for each item, the key is always sent, and the
    second surface ignores the parameters of the other type of period."""
    of_a_batch = response.status_code == 200 and b'"rejected"' in response.content
    mutations = getattr(case.meta.phase.data, "mutations", ()) if case.meta else ()
    without_key = any(one.parameter_location == ParameterLocation.HEADER for one in mutations)
    query = case.query or {}
    other = {"days"} if query.get("type") == "range" else {"start_date", "end_date"}
    is_ignored = "/api/v2/" in case.path and other & query.keys()
    skipped = [negative_data_rejection] if of_a_batch or without_key or is_ignored else []
    unanswered = response.status_code == 501  # by the contract: what cannot be told from events
    return [*skipped, not_a_server_error] if unanswered else skipped


def check_refusal(name: str, response: Any) -> None:
    """A problem with the request's name; on the second surface, its envelope."""
    body = json.loads(response.content)
    if "/api/v2/" in name:
        assert response.headers["content-type"] == ["application/json"]
        assert (body["success"], body["data"]) == (False, None)
    else:
        assert response.headers["content-type"] == ["application/problem+json"]
        assert body["request_id"] == response.headers["x-request-id"][0]


@pytest.mark.parametrize("examples", [4, LONG])
@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE], ids=["allowed", "not allowed"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_keeps_to_the_document(operations, asking, figures, name, mode, examples):
    """Every check of Schemathesis; every refusal is a problem, nothing is a 5xx."""
    statuses: Counter[int] = Counter()
    operation = operations[name]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples == 4,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        bad_keys.forget()  # it tries some with every request
        if mode is POSITIVE:
            possible(case)
        key = {"Authorization": f"Bearer {asking.key}"}
        response = case.call(headers=key)
        case.validate_response(response, excluded_checks=excluded(case, response), headers=key)
        statuses[response.status_code] += 1
        if response.status_code >= 400:
            check_refusal(name, response)

    ask()
    figures.show(f"Schemathesis, {sum(statuses.values())} requests, failures", 0, "0")
    assert not any(status >= 500 for status in set(statuses) - {501})
