"""Tests talk to the product as its users do: over HTTP, or on the command line.

Every test has an account of its own in one committed database. That is how tenants are kept apart
in production, it needs no clean-up between tests, and it lets tests run in any order and at once.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client as DjangoClient
from django.test.utils import setup_databases, teardown_databases

from apikeys.authentication import bad_keys
from apikeys.models import Account, issue_key

_numbers = itertools.count()


class Figures:
    """What a test has measured, shown at the end of the run."""

    def __init__(self, test: pytest.FixtureRequest) -> None:
        self._test = test.node

    def show(self, name: str, value: Any, bound: str) -> None:
        """Note that `name` was `value`, where `bound` had to be reached."""
        line = f"{self._test.name}: {name} {value} [{bound}]"
        self._test.user_properties.append(("figure", line))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Shows what a test measures."""
    return Figures(request)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The figures of all tests, whichever process ran them."""
    reports = (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed"))
    shown = [
        value for report in reports if report.when == "call" for _, value in report.user_properties
    ]
    if shown:
        terminalreporter.section("figures")
        for line in sorted(shown):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def database(
    django_db_modify_db_settings: None,
    django_db_keepdb: bool,
    django_db_createdb: bool,
    django_db_blocker: Any,
) -> Iterator[None]:
    """The test database, real and committed to.

    Made here, for pytest-django makes none unless a test asks for its transaction, and ours must
    commit.
    """
    keep = django_db_keepdb and not django_db_createdb
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, keepdb=keep, serialized_aliases=[])
        yield
        if not django_db_keepdb:
            connection.close_pool()  # its idle connections would keep the database
            teardown_databases(made, verbosity=0)


@dataclass
class Api:
    """A client of the API with one account's key."""

    account: Account
    key: str
    http: DjangoClient = field(default_factory=lambda: DjangoClient(raise_request_exception=False))

    def get(self, path: str, **params: Any) -> Any:
        """The answer to GET `path`; parameters with a value of None are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        return self.http.get(path, given, headers={"Authorization": f"Bearer {self.key}"})

    def read(self, path: str, **params: Any) -> Any:
        """The body of a GET that must succeed, with numbers as they are written."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.content
        return json.loads(response.content, parse_float=str)

    def csv(self, path: str, **params: Any) -> str:
        """The text of a GET with format=csv that must succeed."""
        response = self.get(path, **params, format="csv")
        assert response.status_code == 200, response.content
        return b"".join(response.streaming_content).decode()

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """The answer to POST `path`; anything but bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        content_type = headers.pop("content_type", "application/json")
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["Authorization"] = f"Bearer {self.key}"
        return self.http.post(path, raw, content_type=content_type, headers=headers)

    def send(self, *events: dict[str, Any]) -> Any:
        """Record a batch of events that must all be new."""
        response = self.post("/v1/events", {"events": list(events)})
        assert response.json() == {
            "accepted": len(events),
            "duplicates": 0,
            "conflicts": 0,
            "rejected": 0,
            "results": [],
        }
        return response


def new_api(**account: Any) -> Api:
    """A client with a new account."""
    row = Account.objects.create(name=f"Test {next(_numbers)} {uuid4().hex}", **account)
    return Api(row, issue_key(row)[1])


@pytest.fixture(autouse=True)
def nobody_has_failed_yet() -> None:
    """All tests come from one address, and many with bad keys."""
    bad_keys.forget()


@pytest.fixture
def api() -> Api:
    """A client with an account of its own."""
    return new_api()


@pytest.fixture
def other() -> Api:
    """A client with another account."""
    return new_api()


def event(**fields: Any) -> dict[str, Any]:
    """A valid event: 100 tokens in, 50 out, 0.50 USD, at noon of 2025-01-15; None leaves out."""
    sent = {
        "timestamp": "2025-01-15T12:00:00Z",
        "model": "gpt-4o",
        "provider": "openai",
        "input_tokens": 100,
        "output_tokens": 50,
        "cost_usd": "0.50",
        **fields,
    }
    return {name: value for name, value in sent.items() if value is not None}
