"""Nobody in who should not be: keys, throttles, tenants, the production settings."""

import hmac
import json
import logging
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html import unescape
from random import Random

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from apikeys import keys
from apikeys.authentication import bad_keys
from apikeys.limits import forget_addresses
from apikeys.models import RateWindow, issue_key
from config.embedded import postgres
from config.logs import JSONFormatter, request_id
from tests import oracle, population
from tests.adminsite import LISTS, page, person
from tests.conftest import Api, event, new_api
from tests.problems import problem
from tests.reliability.site import Site
from tests.test_access import with_wrong_secret
from tests.test_settings import OWN, PROJECT, environment

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
WHOLE_KEY = re.compile(r"ip-[0-9A-Za-z]{38}")
ENDPOINTS = ("costs", "costs/timeseries", "models", "entities/top", "sessions")


def me(authorization: str, address: str = "192.0.2.1", **headers: str):
    """The answer to GET /v1/me from an address."""
    headers = {"Authorization": authorization, **headers}
    return Client(REMOTE_ADDR=address).get("/v1/me", headers=headers)


# --- keys ------------------------------------------------------------------------------------


def test_a_dump_holds_no_key(api, figures):
    for _ in range(20):
        assert me(f"Bearer {issue_key(api.account)[1]}").status_code == 200
    told = connection.settings_dict
    command = [postgres.program("pg_dump"), "--host", told["HOST"], "--port", str(told["PORT"])]
    command += ["--username", told["USER"], "--table", "apikeys_*", "--table", "django_*"]
    dump = subprocess.run(
        [*command, "--table", "events_event*", told["NAME"]], capture_output=True, check=True
    ).stdout.decode()
    assert api.key[: keys.PREFIX_LENGTH] in dump
    found = [text for text in WHOLE_KEY.findall(dump) if keys.is_well_formed(text)]
    figures.show("keys in a dump", len(found), "0")
    assert found == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: f"{key[:-1]}{'1' if key[-1] == '0' else '0'}",
        lambda key: f"{key[:20]}{'1' if key[20] == '0' else '0'}{key[21:]}",
        lambda key: f"{key[:20]}{key[21]}{key[20]}{key[22:]}",
        lambda key: key[:-1],
        lambda key: key[3:],
    ],
)
def test_a_mistyped_key_asks_no_database(api, wrong):
    with CaptureQueriesContext(connection) as asked:
        assert me(f"Bearer {wrong(api.key)}").status_code == 401
    assert len(asked) == 0


def test_keys_are_compared_in_constant_time(api, monkeypatch):
    """What comes from outside meets what is secret in one function, made for that."""
    compared = []

    def compare(one, two):
        compared.append((one, two))
        return one == two

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert me(with_wrong_secret(api)).status_code == 401
    assert [len(one) for one, two in compared] == [keys.CHECKSUM_LENGTH, 32]


@pytest.mark.parametrize("kind", ["malformed", "unknown"])
def test_bad_keys_from_one_address_are_throttled(api, kind, figures):
    bad = (keys.make_key() if kind == "unknown" else f"ip-{number}" for number in range(202))
    known = issue_key(api.account)[1]
    with time_machine.travel(NOON, tick=False):
        assert me(f"Bearer {known}").status_code == 200
        answers = [me(f"Bearer {next(bad)}") for _ in range(200)]
        statuses = [answer.status_code for answer in answers]
        assert statuses == [401] * 120 + [429] * 80
        problem(answers[-1], 429)
        assert answers[-1]["Retry-After"] == "60"
        assert answers[-1]["X-RateLimit-Remaining"] == "0"
        with CaptureQueriesContext(connection) as asked:
            assert me(f"Bearer {next(bad)}").status_code == 429
        assert len(asked) == 0
        assert me(f"Bearer {known}").status_code == 200  # at work behind the same address
        assert me(f"Bearer {next(bad)}", "192.0.2.2").status_code == 401
    with time_machine.travel(NOON + timedelta(minutes=1), tick=False):
        assert me(f"Bearer {keys.make_key()}").status_code == 401
    figures.show(f"of 200 {kind} keys a minute refused unseen", statuses.count(429), "> 0")


def test_a_new_key_of_a_throttled_address_waits_out_the_minute(api):
    with time_machine.travel(NOON, tick=False):
        for _ in range(121):
            me("Bearer ip-x")
        assert me(f"Bearer {api.key}").status_code == 429
    with time_machine.travel(NOON + timedelta(minutes=1), tick=False):
        assert me(f"Bearer {api.key}").status_code == 200


def test_the_address_behind_a_proxy_is_what_the_proxy_says():
    with time_machine.travel(NOON, tick=False):
        for number in range(121):
            me("Bearer ip-x", "192.0.2.9", **{"X-Forwarded-For": f"198.51.100.{number}"})
        assert me("Bearer ip-x", "192.0.2.9").status_code == 429
        bad_keys.forget()
        with override_settings(BEHIND_TLS_PROXY=True, SECURE_SSL_REDIRECT=False):
            for number in range(121):
                said = {"X-Forwarded-For": f"10.0.0.{number}, 2001:db8::{number:x}"}
                last = me("Bearer ip-x", "127.0.0.1", **said)
            assert last.status_code == 429  # one network of 64 bits
            said = {"X-Forwarded-For": "10.0.0.1, 2001:db8:0:1::1"}
            assert me("Bearer ip-x", "127.0.0.1", **said).status_code == 401


# --- the admin -------------------------------------------------------------------------------


def test_the_login_of_the_admin_is_throttled(figures):
    clients = Client(REMOTE_ADDR="192.0.2.77"), Client(REMOTE_ADDR="2001:db8::1")
    with time_machine.travel(NOON, tick=False):
        RateWindow.objects.filter(account_id__lt=0).delete()
        answers = [clients[0].post("/admin/login/", {}) for _ in range(12)]
        assert clients[1].post("/admin/login/", {}).status_code == 200
        assert clients[0].get("/admin/login/").status_code == 200
    statuses = [answer.status_code for answer in answers]
    assert statuses == [200] * 10 + [429] * 2
    assert answers[-1]["Retry-After"] == "60"
    with time_machine.travel(NOON + timedelta(minutes=1), tick=False):
        assert clients[0].post("/admin/login/", {}).status_code == 200
        assert RateWindow.objects.filter(account_id__lt=0).count() == 2
    forget_addresses(NOON + timedelta(minutes=1))
    assert RateWindow.objects.filter(account_id__lt=0).count() == 1
    figures.show("logins tried in a minute", statuses.count(200), "10")


SCRIPTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'\"><svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "{{ 7 }}{% debug %}",
    "javascript:alert(1)",
]


def test_stored_text_runs_no_script_in_the_admin(api, figures):
    texts = ("id", "model", "provider", "entity_type", "entity_id", "session_id", "error_type")
    for number, script in enumerate(SCRIPTS):
        sent = dict.fromkeys(texts, script) | {"id": f"{script}{number}"}
        api.send(event(**sent, error_code=script, tags={script: script}))
    api.account.company = SCRIPTS[0]
    api.account.save()
    issue_key(api.account, name=SCRIPTS[1])
    staff, unsafe = person(superuser=True), 0
    for path in LISTS:
        html = page(staff, path)
        unsafe += sum(html.count(script) for script in SCRIPTS[:4])
        assert "default-src 'self'" in staff.get(path)["Content-Security-Policy"]
        for link in re.findall(r'href="(/admin/[a-z]+/[a-z]+/[^"]*/change/)', html)[:8]:
            shown = page(staff, unescape(link))
            unsafe += sum(shown.count(script) for script in SCRIPTS[:4])
            assert 'href="javascript:' not in shown
    figures.show("scripts in the pages of the admin", unsafe, "0")
    assert unsafe == 0


# --- tenants ---------------------------------------------------------------------------------


@pytest.mark.parametrize("questions", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_random_questions_show_nothing_of_another_account(questions, figures):
    """Half of each account, about the other one's names as well as its own."""
    random = Random("tenants")
    both: list[tuple[str, Api, list[oracle.Row]]] = []
    for mark in ("aaaa-", "bbbb-"):
        api = new_api()
        sent = [marked(row, mark) for row in population.events(population.KINDS[0], mark)][:800]
        api.send(*sent)
        both.append((mark, api, sent))
    foreign = answered = 0
    for number in range(questions):
        (_, api, own), (theirs, _, others) = both if number % 2 else both[::-1]
        path, asked = question(random, own if random.random() < 0.5 else others)
        answer = api.get(path, **asked)
        assert answer.status_code in (200, 404), (path, asked, answer.content)
        text = b"".join(answer) if answer.streaming else answer.content
        answered += text.count(b'"data"')
        foreign += text.count(theirs.encode())
    figures.show(f"of {questions} questions foreign names in answers", foreign, "0")
    assert foreign == 0
    assert answered > questions / 2


def question(random: Random, events: list[oracle.Row]):
    """An address of the API and its parameters."""
    kind = random.choice(["analytics", "analytics", "list", "event", "entities"])
    if kind == "event":
        return f"/v1/events/{random.choice(events)['id']}", {}
    if kind == "entities":
        return "/v1/entities", {"format": random.choice([None, "csv"]), "limit": 1000}
    if kind == "list":
        return "/v1/events", oracle.parameters(population.list_question(events, random))
    endpoint, asked = population.question(events, random)
    return f"/v1/analytics/{endpoint}", oracle.parameters(asked)


def marked(row: oracle.Row, mark: str) -> oracle.Row:
    """An event whose names say whose it is."""
    names = ("id", "model", "entity_id", "session_id")
    own = {name: mark + row[name] for name in names if row.get(name)}
    return row | own | {"id": own.get("id", f"{mark}{id(row)}"), "tags": {"mark": mark + "x"}}


# --- production ------------------------------------------------------------------------------


def test_production_settings_pass_the_deployment_checks(figures):
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    given = environment(**OWN, BEHIND_TLS_PROXY="yes")
    done = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures.show("check --deploy", done.stdout.strip(), "no issues")


@pytest.mark.parametrize("path", ["/v1/me", "/healthz", "/docs", "/admin/login/", "/nowhere"])
def test_every_answer_has_the_security_headers(path):
    headers = Client().get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")


@override_settings(
    SECURE_SSL_REDIRECT=True,
    SECURE_HSTS_SECONDS=31536000,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
)
def test_tls_is_asked_for_behind_a_proxy():
    plain = Client().get("/admin/login/")
    assert (plain.status_code, plain["Location"]) == (301, "https://testserver/admin/login/")
    answer = Client().get("/admin/login/", headers={"X-Forwarded-Proto": "https"})
    assert answer["Strict-Transport-Security"] == "max-age=31536000"


# --- metrics and logs ------------------------------------------------------------------------

TOKEN = "0123456789" * 6


def numbers(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_metrics_are_off_unless_configured_and_asked_with_the_token(api):
    problem(Client().get("/metrics"), 404)
    with override_settings(METRICS_TOKEN=TOKEN):
        for sent in ("", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", f"Bearer {api.key}", "ü"):
            refused = Client().get("/metrics", headers={"Authorization": sent})
            problem(refused, 401)
            assert refused["WWW-Authenticate"] == "Bearer"


@override_settings(METRICS_TOKEN=TOKEN)
def test_metrics_count_what_happens(api):
    def read() -> dict[str, float]:
        answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return numbers(answer.content.decode())

    before = read()
    api.post("/v1/events", {"events": [event(id="a"), event(id="a"), event(id="a", model="b"), 7]})
    api.post("/v1/events", event())
    api.get("/v1/analytics/models")
    api.get("/v1/events/" + api.key)
    after = read()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    outcomes = {"created": 2, "duplicate": 1, "conflict": 1, "rejected": 1}
    for outcome, count in outcomes.items():
        assert grown[f'costprism_events_total{{outcome="{outcome}"}}'] == count
    assert grown['costprism_requests_total{route="v1/events",status="2xx"}'] == 2
    assert grown['costprism_requests_total{route="v1/analytics/models",status="4xx"}'] == 1
    assert grown['costprism_request_seconds_bucket{route="v1/events",le="+Inf"}'] == 2
    assert grown['costprism_request_seconds_sum{route="v1/events"}'] > 0
    assert after["costprism_database_up"] == 1
    assert after["costprism_tail_batches"] >= 2
    assert after["costprism_tail_events"] >= 3
    assert after["costprism_tail_age_seconds"] > 0
    assert not any(api.key in name for name in after)


def test_log_lines_are_json_with_the_request_and_without_what_was_sent(api):
    quoted = "duplicate key\nDETAIL:  Key (name)=(secret\nof a customer) already exists."
    script = f"{api.key} https://x/?key={api.key}"
    try:
        raise ValueError(f"{script}: {quoted}")
    except ValueError:
        error = sys.exc_info()
    request_id.set("request-1")
    record = logging.LogRecord("a.b", logging.ERROR, "", 1, "of %s", (script,), error)
    line = json.loads(JSONFormatter().format(record))
    prefix = api.key[: keys.PREFIX_LENGTH]
    assert line["message"] == f"of {prefix}… https://x/?key={prefix}…"
    assert (line["level"], line["logger"], line["request_id"]) == ("ERROR", "a.b", "request-1")
    assert line["exception"].endswith(
        f"ValueError: {prefix}… https://x/?key={prefix}…: duplicate key\n"
    )
    assert settings.LOGGING["handlers"]["stderr"]["formatter"] == "json"


def test_nothing_that_clients_send_is_in_the_log(folder, figures):
    """At the most talkative level, with keys and secrets where they do not belong."""
    log, secret = folder.parent / "log", "a-secret-of-a-customer"
    with log.open("w") as file:
        site = Site(folder, "--processes", "1", log=file, LOG_LEVEL="DEBUG")
    try:
        sent = event(id=secret, entity_type=secret, entity_id=secret, tags={secret: secret})
        for body in (sent, {"events": [sent, {"prompt": secret}]}, sent | {"model": "other"}):
            site.ask("POST", "/v1/events", body)
        for path in (f"/v1/me?key={site.key}", f"/{site.key}", f"/v1/events/{secret}", "/v1/me"):
            site.ask("GET", path)
        site.ask("GET", "/v1/me", key=keys.make_key())
        site.sql("DROP TABLE apikeys_ratewindow")
        assert site.ask("POST", "/v1/events", sent)[0] == 500
        assert site.serve.stop() == 0
    finally:
        site.close()
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    answered = [line for line in lines if line["message"] == "Answered"]
    assert {line["route"] for line in answered} >= {"v1/me", "v1/events", ""}
    assert all(line["request_id"] and line["status"] for line in answered)
    assert any("UndefinedTable" in line.get("exception", "") for line in lines)
    found = len(WHOLE_KEY.findall(text)) + text.count(secret)
    figures.show(f"keys and contents in {len(lines)} lines of log", found, "0")
    assert found == 0
