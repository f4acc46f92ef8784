"""Who may ask what: every route of the product with every kind of key."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import time_machine
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from analytics.models import Anomaly
from apikeys import keys
from apikeys.models import APIKey, Scope, issue_key
from events.models import Entity
from tests import v2
from tests.conftest import Api, event, new_api
from tests.problems import problem

JANUARY = "start_date=2025-01-01&end_date=2025-01-31"
BOTH = (
    "period1_start=2025-01-01&period1_end=2025-01-31"
    "&period2_start=2024-12-01&period2_end=2024-12-31"
)
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


class Route(NamedTuple):
    """One method of one address: an example of it, the scope it needs, what it answers."""

    scope: str
    example: str
    status: int = 200
    shows_nothing_of_others: bool = True


ROUTES = {
    "GET /v1/me": Route("read", "/v1/me", shows_nothing_of_others=False),
    "GET /v1/events": Route("read", "/v1/events"),
    "POST /v1/events": Route("ingest", "/v1/events", 201, shows_nothing_of_others=False),
    "GET /v1/events/{event_id}": Route("read", "/v1/events/one"),
    "GET /v1/entities": Route("read", "/v1/entities"),
    "GET /v1/prices": Route("read", "/v1/prices?model=acme-1"),
    "POST /v1/prices": Route("manage", "/v1/prices", 201, shows_nothing_of_others=False),
    "POST /v1/prices/quote": Route("read", "/v1/prices/quote", shows_nothing_of_others=False),
    "GET /v1/analytics/costs": Route("read", f"/v1/analytics/costs?{JANUARY}&group_by=entity"),
    "GET /v1/analytics/costs/accuracy": Route("read", f"/v1/analytics/costs/accuracy?{JANUARY}"),
    "GET /v1/analytics/costs/timeseries": Route(
        "read", f"/v1/analytics/costs/timeseries?{JANUARY}&interval=month"
    ),
    "GET /v1/analytics/models": Route("read", f"/v1/analytics/models?{JANUARY}"),
    "GET /v1/analytics/entities/top": Route("read", f"/v1/analytics/entities/top?{JANUARY}"),
    "GET /v1/analytics/sessions": Route("read", f"/v1/analytics/sessions?{JANUARY}"),
    "GET /v1/analytics/anomalies": Route("read", f"/v1/analytics/anomalies?{JANUARY}"),
    "PATCH /v1/analytics/anomalies/{anomaly_id}": Route(
        "manage", "/v1/analytics/anomalies/anomaly_0", 404, shows_nothing_of_others=False
    ),
    "GET /v1/analytics/compare": Route("read", f"/v1/analytics/compare?{BOTH}"),
}
ROUTES |= {
    f"GET {v2.PREFIX}{path}": Route("read", f"{v2.PREFIX}{path}?type=range&{JANUARY}")
    for path in v2.ANSWERED
}
ROUTES |= {
    f"GET {v2.PREFIX}{path}": Route("read", f"{v2.PREFIX}{path}", 501, False)
    for path in v2.UNANSWERED
}
ROUTES["GET /api/v2/analytics/entity-counts"] = Route("read", f"{v2.PREFIX}entity-counts")
API = ("/v1/", "/api/")
PRICE = {"provider": "acme", "model": "acme-1", "unit": "input", "usd_per_unit": "0.000002"}
PUBLIC = {
    "/healthz": 200,
    "/readyz": 200,
    "/schema": 200,
    "/docs": 200,
    "/admin": 302,
    "/metrics": 404,
}


def walk(patterns: list[Any], prefix: str = "/") -> Iterator[tuple[str, Any]]:
    """Every address that the product knows, with its view."""
    for pattern in patterns:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, pattern.callback


ADDRESSES = dict(walk(get_resolver().url_patterns))
ADMIN = [path for path in ADDRESSES if path.startswith("/admin/") and "(?P<" not in path]


def methods(view: Any) -> set[str]:
    """The methods that do something of their own."""
    names = set(view.view_class.http_method_names) - {"options", "head"}
    return {name.upper() for name in names if hasattr(view.view_class, name)}


BODIES: dict[str, Any] = {
    "POST /v1/events": event(id="sent"),
    "POST /v1/prices": PRICE,
    "POST /v1/prices/quote": event(id="sent"),
    "PATCH /v1/analytics/anomalies/{anomaly_id}": {"status": "resolved"},
}


def ask(route: str, authorization: str | None, method: str | None = None) -> Any:
    """The answer to a route's example; the header is left out if it is None."""
    headers = {} if authorization is None else {"Authorization": authorization}
    body = json.dumps(BODIES[route]) if route in BODIES else ""
    return Client(raise_request_exception=False, enforce_csrf_checks=True).generic(
        method or route.split()[0],
        ROUTES[route].example,
        body,
        content_type="application/json",
        headers=headers,
    )


def refused(route: str, response: Any, status: int) -> str:
    """What a refusal says; it must have the form of its surface."""
    if "/api/v2/" in route:
        return v2.refusal(response, status)
    return str(problem(response, status)["detail"])


def with_key(api: Api, **fields: Any) -> str:
    """The Authorization of another key of the account."""
    return f"Bearer {issue_key(api.account, **fields)[1]}"


def revoked(api: Api) -> str:
    row, key = issue_key(api.account)
    APIKey.objects.filter(pk=row.pk).update(revoked_at=datetime.now(UTC))
    return f"Bearer {key}"


def expired(api: Api) -> str:
    return with_key(api, expires_at=datetime.now(UTC) - timedelta(microseconds=1))


def with_wrong_secret(api: Api) -> str:
    """A well-formed key that begins as a known one does."""
    body = api.key[: keys.PREFIX_LENGTH] + "x" * (keys.SECRET_LENGTH - 8)
    return f"Bearer {body}{keys.checksum(body)}"


REFUSED = {
    "no key": lambda api: None,
    "empty": lambda api: "",
    "scheme alone": lambda api: "Bearer",
    "scheme missing": lambda api: api.key,
    "other scheme": lambda api: f"Basic {api.key}",
    "two keys": lambda api: f"Bearer {api.key} {api.key}",
    "comma": lambda api: f"Bearer {api.key},",
    "malformed": lambda api: "Bearer ip-your-api-key",
    "other mark": lambda api: f"Bearer sk-{api.key[3:]}",
    "too short": lambda api: f"Bearer {api.key[:-1]}",
    "too long": lambda api: f"Bearer {api.key}0",
    "not ascii": lambda api: f"Bearer {api.key[:-1]}ü",
    "NUL": lambda api: f"Bearer {api.key[:-1]}\0",
    "wrong checksum": lambda api: f"Bearer {api.key[:-1]}{'1' if api.key[-1] == '0' else '0'}",
    "mistyped": lambda api: (
        f"Bearer {api.key[:9]}{'1' if api.key[9] == '0' else '0'}{api.key[10:]}"
    ),
    "unknown": lambda api: f"Bearer {keys.make_key()}",
    "wrong secret": with_wrong_secret,
    "revoked": revoked,
    "expired": expired,
}


@pytest.fixture(scope="module")
def owner() -> Api:
    """An account with something to be seen on every route."""
    api = new_api()
    api.send(
        event(id="one", entity_type="customer", entity_id="acme", session_id="s"),
        *(event(entity_type=kind, entity_id="1") for kind in ("agent", "project", "team", "user")),
    )
    assert api.post("/v1/prices", PRICE).status_code == 201
    Anomaly.objects.create(
        account=api.account,
        entity=Entity.objects.get(account=api.account, entity_type="customer"),
        date="2025-01-15",
        type="cost_spike",
        severity="high",
        detected_at=NOON,
        expected_value=1,
        actual_value=5,
    )
    return api


def test_table_has_every_route():
    served = {
        f"{method} {path.removesuffix('/')}"
        for path, view in ADDRESSES.items()
        if path.startswith(API)
        for method in methods(view)
    }
    assert served == ROUTES.keys()
    others = {path for path in ADDRESSES if not path.startswith((*API, "/admin/"))}
    assert others == PUBLIC.keys()


@pytest.mark.parametrize(("path", "status"), PUBLIC.items())
def test_public_addresses_need_no_key(path, status):
    assert Client().get(path).status_code == status


@pytest.mark.parametrize("path", ADMIN)
def test_admin_asks_for_a_login_whatever_the_key(owner, path):
    address = re.sub(r"{\w+}", "1", path)
    response = Client().get(address, headers={"Authorization": f"Bearer {owner.key}"})
    if path == "/admin/login/":
        assert response.status_code == 200
    else:
        assert response.status_code == 302
        away = "/admin/" if path == "/admin/logout/" else "/admin/login/?next="
        assert response["Location"].startswith(away)


# The addresses of the second surface share one view: with every kind of key, two of them do.
V2_ROUTES = [f"GET {v2.PREFIX}{path}" for path in (*v2.ANSWERED, *v2.UNANSWERED)]
KEYED = [*(ROUTES.keys() - V2_ROUTES), V2_ROUTES[0], V2_ROUTES[-1]]


@pytest.mark.parametrize("route", sorted(KEYED))
@pytest.mark.parametrize("kind", REFUSED)
def test_route_refuses_what_is_no_valid_key(owner, route, kind):
    response = ask(route, REFUSED[kind](owner))
    refused(route, response, 401)
    assert response["WWW-Authenticate"] == "Bearer"
    assert "X-RateLimit-Limit" not in response.headers


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_no_method_of_a_route_works_without_a_key(route, method):
    assert ask(route, None, method).status_code == 401


@pytest.mark.parametrize("route", ROUTES)
def test_route_needs_its_scope_and_no_other(route):
    api, (needed, _, allowed, _) = new_api(), ROUTES[route]
    api.send(event(id="two"))
    others = set(Scope.values) - {needed}
    for scopes in (others, *({scope} for scope in others)):
        response = ask(route, with_key(api, scopes=scopes))
        assert needed in refused(route, response, 403)
        assert response["X-RateLimit-Limit"] == "60000"
    expected = 404 if "_id}" in route else allowed
    assert ask(route, with_key(api, scopes={needed})).status_code == expected


@pytest.mark.parametrize("route", ROUTES)
def test_route_answers_its_account(owner, route):
    response = ask(route, f"bearer {owner.key}")  # a scheme's case does not matter
    assert response.status_code == ROUTES[route].status
    assert response["X-RateLimit-Limit"] == "60000"


HIDDEN = [route for route, asked in ROUTES.items() if asked.shows_nothing_of_others]


@pytest.mark.parametrize("route", HIDDEN)
def test_another_account_sees_what_an_empty_one_sees(owner, route):
    stranger, empty = new_api(), new_api()
    own = ask(route, f"Bearer {owner.key}")
    seen = ask(route, f"Bearer {stranger.key}")
    nothing = ask(route, f"Bearer {empty.key}")
    assert own.status_code == 200
    assert seen.status_code == nothing.status_code == (404 if "event_id" in route else 200)
    assert without_request_id(seen) == without_request_id(nothing) != without_request_id(own)


def without_request_id(response: Any) -> Any:
    return response.json() | {"request_id": None}


def test_another_account_is_told_the_same_of_an_event_that_exists_and_one_that_does_not(
    other, owner
):
    there = other.get("/v1/events/one")
    nowhere = other.get("/v1/events/none")
    assert problem(there, 404) | {"request_id": ""} == problem(nowhere, 404) | {"request_id": ""}


def test_another_account_cannot_change_an_anomaly(other, owner):
    anomaly = Anomaly.objects.get(account=owner.account)
    answer = Client().patch(
        f"/v1/analytics/anomalies/{anomaly.public_id}",
        '{"status": "resolved"}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {other.key}"},
    )
    problem(answer, 404)
    anomaly.refresh_from_db()
    assert anomaly.status == "active"


def test_me_is_the_account_of_the_key(api, other):
    for one in (api, other):
        account = one.read("/v1/me")
        assert account["id"] == one.account.public_id
        assert account["name"] == one.account.name


def test_events_go_to_the_account_of_the_key(api, other):
    assert ask("POST /v1/events", f"Bearer {api.key}").status_code == 201
    assert ask("POST /v1/events", f"Bearer {other.key}").status_code == 201
    assert ask("POST /v1/events", f"Bearer {api.key}").status_code == 200


def test_key_expires_at_its_instant(api):
    authorization = with_key(api, expires_at=NOON)
    with time_machine.travel(NOON - timedelta(microseconds=1), tick=False):
        assert ask("GET /v1/me", authorization).status_code == 200
    with time_machine.travel(NOON, tick=False):
        assert ask("GET /v1/me", authorization).status_code == 401


def test_revocation_bites_within_a_second(api):
    row, key = issue_key(api.account)
    assert ask("GET /v1/me", f"Bearer {key}").status_code == 200
    APIKey.objects.filter(pk=row.pk).update(revoked_at=datetime.now(UTC))
    revoked_at = asked_at = time.monotonic()
    while ask("GET /v1/me", f"Bearer {key}").status_code == 200:
        assert asked_at - revoked_at < 1
        asked_at = time.monotonic()
    assert ask("GET /v1/me", f"Bearer {key}").status_code == 401
    assert ask("GET /v1/me", f"Bearer {api.key}").status_code == 200


def test_last_use_is_noted_once_a_minute(api):
    row, key = issue_key(api.account)
    noted = []
    for seconds in (0, 1, 59.999999, 60, 119, 300):
        with time_machine.travel(NOON + timedelta(seconds=seconds), tick=False):
            ask("GET /v1/me", f"Bearer {key}")
        row.refresh_from_db()
        noted.append((row.last_used_at - NOON).total_seconds())
    assert noted == [0, 0, 0, 60, 60, 300]


# --- rate limits -----------------------------------------------------------------------------


def rate(response: Any) -> tuple[int, int, int]:
    """What the headers say: limit, remaining, reset."""
    names = ("Limit", "Remaining", "Reset")
    limit, remaining, reset = (int(response[f"X-RateLimit-{name}"]) for name in names)
    return limit, remaining, reset


def test_free_plan_allows_60_requests_a_minute_and_not_one_more():
    api, late = new_api(plan="free"), new_api(plan="free")
    reset = int(NOON.timestamp()) + 60
    with time_machine.travel(NOON + timedelta(seconds=10.25), tick=False):
        for number in range(1, 61):
            response = api.get("/v1/me")
            assert (response.status_code, rate(response)) == (200, (60, 60 - number, reset))
        for _ in range(2):
            response = api.get("/v1/me")
            problem(response, 429)
            assert rate(response) == (60, 0, reset)
            assert response["Retry-After"] == "50"
        assert late.get("/v1/me").status_code == 200
    with time_machine.travel(NOON + timedelta(seconds=59.999), tick=False):
        response = api.get("/v1/me")
        assert (response.status_code, response["Retry-After"]) == (429, "1")
    with time_machine.travel(NOON + timedelta(seconds=60), tick=False):
        response = api.get("/v1/me")
        assert (response.status_code, rate(response)) == (200, (60, 59, reset + 60))


@pytest.mark.parametrize(
    ("plan", "limit"),
    [
        ({"plan": "free"}, 60),
        ({"plan": "growth"}, 300),
        ({"plan": "scale"}, 1000),
        ({"plan": "enterprise", "requests_per_minute": 77}, 77),
        ({"plan": "free", "requests_per_minute": 77}, 60),
        ({}, 60_000),
    ],
)
def test_limit_is_that_of_the_plan(plan, limit):
    assert rate(new_api(**plan).get("/v1/me"))[:2] == (limit, limit - 1)


@time_machine.travel(NOON, tick=False)
def test_every_authenticated_answer_counts_and_says_so():
    """Also one that is refused for another reason; what has no valid key counts for nobody."""
    api = new_api(plan="enterprise", requests_per_minute=7)
    ingest = with_key(api, scopes=["ingest"])
    answers = [
        (200, api.get("/v1/me")),
        (400, api.get("/v1/analytics/costs")),
        (404, api.get("/v1/events/none")),
        (405, api.post("/v1/me", {})),
        (403, ask("GET /v1/me", ingest)),
        (422, api.post("/v1/events", event(model=None))),
        (200, api.get("/v1/analytics/costs?format=csv" + "&" + JANUARY)),
        (429, api.post("/v1/events", event())),
        (429, ask("GET /v1/me", ingest)),
    ]
    for number, (status, response) in enumerate(answers, 1):
        assert response.status_code == status
        assert rate(response)[:2] == (7, max(0, 7 - number))
    assert ask("GET /v1/me", REFUSED["unknown"](api)).status_code == 401
    assert rate(api.get("/v1/me")) == (7, 0, int(NOON.timestamp()) + 60)
