"""`create_api_key` and `demo`, as their users run them."""

import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import requests
import time_machine
from django.contrib.auth import authenticate

from apikeys.models import Account, APIKey
from events.models import Entity, Event
from tests.commandline import call, run, start
from tests.conftest import Api, event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def new_name() -> str:
    return f"Made {uuid4().hex}"


def test_key_is_alone_on_stdout_and_works():
    name = new_name()
    made = run("create_api_key", "--account", name, "--email", "a@example.com", "--plan", "free")
    account = Account.objects.get(name=name)

    assert made.returncode == 0
    assert made.stdout == f"{made.stdout.strip()}\n"
    assert made.stderr.splitlines() == [
        f"Made the account {name!r} on the plan free.",
        "The key may ingest, manage, read, until revoked. It is not shown again.",
    ]
    assert (account.email, account.plan) == ("a@example.com", "free")
    api = Api(account, made.stdout.strip())
    api.send(event())
    assert api.read("/v1/me")["name"] == name


def test_key_of_an_account_that_is_there(api):
    with time_machine.travel(NOW, tick=False):
        said = call(
            "create_api_key", "--account", api.account.name, "--scope", "read", "ingest",
            "--scope", "read", "--expires-in", "30",
        )  # fmt: skip
    key = APIKey.objects.latest("id")

    assert said.failure is None
    assert (
        said.err == "The key may ingest, read, until 2026-03-31 12:00 UTC. It is not shown again.\n"
    )
    assert (key.account, key.prefix) == (api.account, said.out[:11])
    assert (key.scopes, key.expires_at) == (["ingest", "read"], NOW + timedelta(days=30))


def test_key_options_may_repeat_what_the_account_is():
    name = new_name()
    options = ["create_api_key", "--account", name, "--email", "a@example.com", "--plan", "scale"]

    assert [call(*options).failure for _ in range(2)] == [None, None]
    assert call("create_api_key", "--account", name).failure is None
    assert APIKey.objects.filter(account__name=name).count() == 3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--email", "nobody"], "account email: Enter a valid email address."),
        (["--account", ""], "account name: This field cannot be blank."),
        (["--expires-in", "0"], "--expires-in: 0 is not a number of days from 1 to 36500."),
        (["--expires-in", "99999"], "--expires-in: 99999 is not a number of days from 1 to 36500."),
        (["--plan", "gold"], "invalid choice: 'gold'"),
        (["--scope", "admin"], "invalid choice: 'admin'"),
    ],
)
def test_bad_option_makes_nothing(options, complaint):
    name = new_name()
    accounts, keys = Account.objects.count(), APIKey.objects.count()

    said = call("create_api_key", "--account", name, *options)

    assert said.failure is not None
    assert complaint in said.failure
    assert said.out == ""
    assert (Account.objects.count(), APIKey.objects.count()) == (accounts, keys)


@pytest.mark.parametrize(
    ("option", "value", "kept"), [("--plan", "growth", "enterprise"), ("--email", "b@c.org", "")]
)
def test_account_is_not_changed_on_the_way(api, option, value, kept):
    said = call("create_api_key", "--account", api.account.name, option, value)

    assert said.failure == (
        f"{option}: the account {api.account.name!r} exists with {option[2:]} {kept!r}. "
        "Leave the option out, or change the account in the admin."
    )
    assert APIKey.objects.filter(account=api.account).count() == 1


def test_database_that_was_never_migrated():
    made = run("create_api_key", "--account", "X", database="postgres")

    assert (made.returncode, made.stdout) == (1, "")
    assert "run `manage.py migrate` first" in made.stderr


@contextmanager
def demo(lines: list[str]) -> Iterator[list[str]]:
    """A running `manage.py demo`; adds to `lines` what it says until it is ready."""
    process = start(
        "demo", "--port", "0", "--events", "300", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("Costprism is ready"):
                break
        yield lines
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def answers(lines: list[str]) -> list[requests.Response]:
    """What the printed curls get."""
    curls = [shlex.split(line) for line in lines if line.startswith("curl")]
    return [
        requests.get(url, headers={name: value}, timeout=5)
        for curl, option, header, url in curls
        for name, value in [header.split(": ")]
    ]


def password(lines: list[str]) -> str:
    (line,) = [line for line in lines if line.startswith("Admin")]
    return line.split()[5]


def test_demo_loads_once_and_prints_what_works():
    Account.objects.filter(name="Demo").update(name=new_name())  # of an earlier run
    with demo([]) as first:
        found = answers(first)
        costs, series, models = found
        docs = next(line.split()[2] for line in first if line.startswith("API docs"))
        assert requests.get(docs, timeout=5).status_code == 200
    with demo([]) as second:
        again = answers(second)
        old_key = found[0].request.headers["Authorization"]
        revoked = requests.get(again[0].url, headers={"Authorization": old_key}, timeout=5)

    assert [answer.status_code for answer in (*found, *again)] == [200] * 6
    assert 50 < costs.json()["summary"]["total_events"] < 300
    assert len(series.json()["data"]) == 30
    assert models.text.startswith("model,provider,")
    assert "Loading 300 demo events, once. It takes about 1 s." in first
    assert not any(line.startswith("Loading") for line in second)
    assert Event.objects.filter(account__name="Demo").count() == 300
    assert Entity.objects.get(account__name="Demo", entity_id="acme-corp").name == "Acme Corp"
    assert revoked.status_code == 401
    assert authenticate(username="admin", password=password(first)) is None
    assert authenticate(username="admin", password=password(second)).is_superuser
