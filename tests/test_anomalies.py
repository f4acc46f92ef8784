"""Anomalies over HTTP: what is detected, what is said of it, and what becomes of it."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import time_machine
from django.db import connection

from analytics.anomalies import passes
from analytics.models import Anomaly
from apikeys.models import Account, issue_key
from events import roller
from tests.adminsite import column, page, person
from tests.commandline import call
from tests.conftest import Api, event
from tests.problems import problem

ACME = {"entity_type": "customer", "entity_id": "acme-corp"}
DAY = date(2025, 1, 15)
JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
HALF_PAST_TEN = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
WEEKEND = {5: Decimal("0.3"), 6: Decimal("0.2")}


def before(days: int, last: date = DAY) -> list[date]:
    """So many days before `last`, in order."""
    return [last - timedelta(days=number) for number in range(days, 0, -1)]


def spend(api: Api, costs: dict[date, Any], hour: int = 9, **fields: Any) -> None:
    """One call a day of so much, at so many hours past midnight, by acme-corp."""
    api.send(
        *(
            event(timestamp=f"{day}T{hour:02}:00:00Z", cost_usd=str(cost), **ACME | fields)
            for day, cost in costs.items()
        )
    )


def detect(api: Api, first: date = DAY, last: date | None = None) -> None:
    """Judge days that are over, in order."""
    for number in range(((last or first) - first).days + 1):
        day = first + timedelta(days=number)
        end = passes.end_of(day)
        passes.detect_day(api.account.pk, day, end, detected_at=end)


def anomalies(api: Api, **params: Any) -> list[dict[str, Any]]:
    """What the API tells of January 2025."""
    rows: list[dict[str, Any]] = api.read("/v1/analytics/anomalies", **JANUARY | params)["data"]
    return rows


def told(api: Api, *keys: str, **params: Any) -> list[tuple[Any, ...]]:
    """Some keys of each anomaly."""
    return [tuple(row[key] for key in keys) for row in anomalies(api, **params)]


def test_the_reference_example(api):
    spend(api, dict.fromkeys(before(7), "12.50") | {DAY: "55.00"})
    passes.detect_running(api.account.pk, HALF_PAST_TEN)
    (row,) = anomalies(api)
    assert row.pop("id").startswith("anomaly_")
    assert row == {
        "detected_at": "2025-01-15T10:30:00Z",
        "entity_type": "customer",
        "entity_id": "acme-corp",
        "type": "cost_spike",
        "severity": "high",
        "description": "Cost increased 340% compared to 7-day average",
        "expected_value": "12.50",
        "actual_value": "55.00",
        "status": "active",
        "date": "2025-01-15",
        "contributors": {
            "effects": [
                {"name": "volume", "change": "0.00", "share": "0.0"},
                {"name": "tokens_per_call", "change": "0.00", "share": "0.0"},
                {"name": "price_per_token", "change": "42.50", "share": "100.0"},
                {"name": "mix", "change": "0.00", "share": "0.0"},
            ],
            "models": [{"name": "openai/gpt-4o", "change": "42.50", "share": "100.0"}],
            "tags": [],
            "sessions": [],
        },
        "status_changed_at": None,
        "status_changed_by": None,
    }


@pytest.mark.parametrize("rolled_up", [False, True])
def test_the_worker_finds_it_with_or_without_rollups(api, rolled_up):
    spend(api, dict.fromkeys(before(7), "12.50") | {DAY: "55.00"})
    while rolled_up and roller.roll_up():
        pass
    passes.detect(api.account.pk, HALF_PAST_TEN)
    passes.detect(api.account.pk, HALF_PAST_TEN + timedelta(minutes=5))
    passes.detect(api.account.pk, HALF_PAST_TEN + timedelta(days=1))
    assert told(api, "date", "type", "status", "detected_at") == [
        ("2025-01-15", "cost_spike", "active", "2025-01-15T10:30:00Z")
    ]


def test_a_backfill_tells_the_end_of_the_day_and_can_be_repeated(api):
    spend(api, dict.fromkeys(before(30), "12.50") | {DAY: "55.00"})
    command = ("detect_anomalies", "--account", api.account.name, "--from", before(3)[0])
    first = call(*command, "--to", DAY)
    (row,) = anomalies(api)
    assert (first.failure, first.out) == (None, "1 anomalies in 4 days.\n")
    assert first.err.endswith("2025-01-15 (4 of 4)\n")
    assert row["detected_at"] == "2025-01-16T00:00:00Z"
    call(*command, "--to", DAY)
    assert anomalies(api) == [row]


# --- what is no anomaly ----------------------------------------------------------------------


def noisy(seed: int, share: str = "0.1") -> Any:
    """About 1, the same for the same seed."""
    random = Random(seed)
    return lambda: Decimal(f"{random.uniform(1 - float(share), 1 + float(share)):.4f}")


def weekly(day: date) -> Decimal:
    return 100 * WEEKEND.get(day.weekday(), Decimal(1))


def rhythm(noise: Any) -> dict[date, Decimal]:
    return {day: weekly(day) * noise() for day in before(60, DAY + timedelta(days=10))}


def growth(noise: Any) -> dict[date, Decimal]:
    return {
        day: (100 + Decimal(number) * 100 / 30) * noise()
        for number, day in enumerate(before(30, DAY + timedelta(days=10)))
    }


def holiday(noise: Any) -> dict[date, Decimal]:
    return rhythm(noise) | {DAY: Decimal(28), date(2025, 1, 8): Decimal(20)}


def newborn(noise: Any) -> dict[date, Decimal]:
    return {day: Decimal(number) / 2 for number, day in enumerate(before(8), start=1)}


def cents(noise: Any) -> dict[date, Decimal]:
    return dict.fromkeys(before(30), Decimal("0.40")) | {DAY: Decimal("4.90")}


@pytest.mark.parametrize("series", [rhythm, growth, holiday, newborn, cents])
def test_ordinary_days_raise_no_alarm(api, series):
    spend(api, {day: f"{cost:.6f}" for day, cost in series(noisy(7)).items()})
    detect(api, date(2025, 1, 1), date(2025, 1, 24))
    assert told(api, "date", "type", "description") == []


def test_a_doubling_that_stays_is_told_once_and_learnt_within_two_weeks(api):
    noise, up, last = noisy(3), date(2025, 1, 10), date(2025, 1, 31)
    costs = {day: (200 if day >= up else 100) * noise() for day in before(62, last)}
    spend(api, costs | {last: Decimal(400)})
    detect(api, date(2025, 1, 5), last)
    assert told(api, "date", "type", "status") == [
        ("2025-01-31", "cost_spike", "active"),
        ("2025-01-10", "cost_spike", "resolved"),
    ]
    learnt = Anomaly.objects.get(account=api.account, date=up).returned_on
    assert up + timedelta(days=2) < learnt <= up + timedelta(days=14)


# --- other kinds -----------------------------------------------------------------------------


def calls(api: Api, day: date, count: int, **fields: Any) -> None:
    api.send(*(event(timestamp=f"{day}T09:00:00Z", **ACME | fields) for _ in range(count)))


def steady_calls(api: Api, **fields: Any) -> None:
    for day in before(21):
        calls(api, day, 40, cost_usd="0.50", latency_ms=1000, **fields)


def test_failures(api):
    steady_calls(api)
    calls(api, DAY, 22, latency_ms=1000)
    calls(api, DAY, 22, success=False, latency_ms=1000)
    detect(api)
    (row,) = anomalies(api)
    assert (row["type"], row["expected_value"], row["actual_value"]) == (
        "error_spike",
        "0.00",
        "0.50",
    )
    assert row["description"] == "Failure rate increased from nothing compared to 7-day median"
    assert row["contributors"]["models"] == [
        {"name": "openai/gpt-4o", "change": "0.50", "share": "100.0"}
    ]


def test_latency(api):
    steady_calls(api)
    calls(api, DAY, 40, latency_ms=4000)
    detect(api)
    assert told(api, "type", "severity", "description", "expected_value", "actual_value") == [
        (
            "latency_spike",
            "medium",
            "Latency increased 300% compared to 7-day average",
            "1000.00",
            "4000.00",
        )
    ]


def test_dearer_calls_and_more_calls_at_the_same_cost(api, other):
    steady_calls(api)
    calls(api, DAY, 20, cost_usd="1.00", latency_ms=1000)
    steady_calls(other)
    calls(other, DAY, 120, cost_usd="0.20", latency_ms=1000)
    detect(api)
    detect(other)
    keys = ("type", "expected_value", "actual_value", "description")
    assert told(api, *keys) == [
        (
            "cost_per_event_spike",
            "0.50",
            "1.00",
            "Cost per event increased 100% compared to 7-day average",
        )
    ]
    assert told(other, *keys) == [
        ("usage_spike", "40.00", "120.00", "Usage increased 200% compared to 7-day average")
    ]


def test_silence_is_a_drop_and_comes_back(api):
    spend(api, dict.fromkeys(before(28), "100") | {DAY + timedelta(days=2): "100"})
    spend(api, dict.fromkeys(before(28), "30"), entity_id="other")
    spend(api, {DAY + timedelta(days=number): "30" for number in range(3)}, entity_id="other")
    detect(api, DAY, DAY + timedelta(days=1))
    keys = ("date", "entity_id", "type", "actual_value", "status", "description")
    decreased = "Cost decreased 100% compared to 7-day average"
    assert told(api, *keys) == [
        ("2025-01-15", "acme-corp", "cost_drop", "0.00", "active", decreased)
    ]
    detect(api, DAY + timedelta(days=2))
    assert told(api, *keys) == [
        ("2025-01-15", "acme-corp", "cost_drop", "0.00", "resolved", decreased)
    ]


def test_what_is_new_and_dear_is_told_once_the_account_has_a_past(api, other):
    spend(api, dict.fromkeys(before(14), "300"), entity_id="old")
    spend(other, dict.fromkeys(before(13), "300"), entity_id="old")
    for one in (api, other):
        days = [DAY, DAY + timedelta(days=1)]
        spend(one, dict.fromkeys(days, "300"), entity_id="old")
        spend(one, dict.fromkeys(days, "49.99"), entity_id="cheap")
        spend(one, dict.fromkeys(days, "60"), entity_id="new", model="dear")
        detect(one, *days)
    keys = ("date", "entity_id", "type", "severity", "description")
    assert told(other, *keys) == []
    assert told(api, *keys) == [
        ("2025-01-15", "new", "cost_spike", "high", "Cost of 60.00 by a new entity")
    ]


def test_a_new_model_of_known_entities(api):
    names = ("a", "b", "c", "d")
    for name in names:
        spend(api, dict.fromkeys([*before(21), DAY], "100"), entity_id=name)
        spend(api, {DAY: "30"}, entity_id=name, model="gpt-9")
    detect(api)
    assert told(api, "entity_id", "type", "expected_value", "actual_value", "description") == [
        (None, "cost_spike", "0.00", "120.00", "Cost of 120.00 by a new model, openai/gpt-9")
    ]


def test_the_whole_account_where_no_entity_explains_it(api):
    names = [f"entity {number}" for number in range(12)]
    for name in names:
        spend(api, dict.fromkeys(before(21), "2") | {DAY: "5.50"}, entity_id=name)
    detect(api)
    assert told(api, "entity_id", "type", "expected_value", "actual_value", "severity") == [
        (None, "cost_spike", "24.00", "66.00", "medium")
    ]


# --- the running day -------------------------------------------------------------------------


def by_hour(api: Api, day: date, hours: dict[int, str], **fields: Any) -> None:
    api.send(
        *(
            event(timestamp=f"{day}T{hour:02}:10:00Z", cost_usd=cost, **ACME | fields)
            for hour, cost in hours.items()
        )
    )


def test_the_morning_is_compared_with_mornings(api):
    for day in before(14):
        by_hour(api, day, dict.fromkeys(range(24), "10"))
    by_hour(api, DAY, dict.fromkeys(range(3), "50"))
    passes.detect_running(api.account.pk, datetime(2025, 1, 15, 3, tzinfo=UTC))
    assert told(api, "expected_value", "actual_value", "description") == [
        (
            "30.00",
            "150.00",
            "Cost until 03:00 UTC increased 400% compared to 7-day average",
        )
    ]


def test_a_late_burst_is_told_and_resolved_when_it_does_not_matter_any_more(api):
    for day in before(14):
        by_hour(api, day, dict.fromkeys(range(24), "10"))
    by_hour(api, DAY, dict.fromkeys(range(14), "10") | dict.fromkeys((14, 15), "50"))
    passes.detect_running(api.account.pk, datetime(2025, 1, 15, 16, tzinfo=UTC))
    burst = "Cost from 14:00 until 16:00 UTC increased 400% compared to 7-day average"
    keys = ("expected_value", "actual_value", "description", "status")
    assert told(api, *keys) == [("20.00", "100.00", burst, "active")]
    by_hour(api, DAY, dict.fromkeys(range(16, 24), "10"))
    detect(api)
    assert told(api, *keys) == [("20.00", "100.00", burst, "resolved")]


def test_a_nightly_job_is_no_spike_at_night(api):
    for day in [*before(14), DAY]:
        by_hour(api, day, {2: "200"})
        by_hour(api, day, dict.fromkeys(range(8, 20), "100"), entity_id="office")
    passes.detect_running(api.account.pk, datetime(2025, 1, 15, 3, tzinfo=UTC))
    assert anomalies(api) == []


# --- lifecycle -------------------------------------------------------------------------------


def spike(api: Api) -> dict[str, Any]:
    """An account with one anomaly."""
    spend(api, dict.fromkeys(before(7), "12.50") | {DAY: "55.00"})
    detect(api)
    (row,) = anomalies(api)
    return row


def patch(api: Api, id_: str, body: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {api.key}"}
    address = f"/v1/analytics/anomalies/{id_}"
    return api.http.patch(address, raw, content_type="application/json", headers=headers)


def test_late_events_change_it_and_never_make_a_second(api):
    row = spike(api)
    spend(api, {DAY: "20.00"})
    now = passes.end_of(DAY) + timedelta(hours=5)
    passes.detect(api.account.pk, now)
    (changed,) = anomalies(api)
    told_anew = ("severity", "description", "actual_value", "contributors")
    assert {key: row[key] for key in row if key not in told_anew} == {
        key: changed[key] for key in changed if key not in told_anew
    }
    assert (changed["actual_value"], changed["description"]) == (
        "75.00",
        "Cost increased 500% compared to 7-day average",
    )


def test_changed_prices_change_it_and_may_resolve_it(api):
    row = spike(api)
    for cost, status in (("14.00", "resolved"), ("55.00", "active")):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE events_event SET cost = %s WHERE account_id = %s AND timestamp >= %s",
                [cost, api.account.pk, DAY],
            )
        passes.detect(api.account.pk, passes.end_of(DAY) + timedelta(hours=1))
        assert told(api, "id", "actual_value", "status") == [(row["id"], "55.00", status)]


def test_two_workers_at_once_make_one(api):
    spend(api, dict.fromkeys(before(7), "12.50") | {DAY: "55.00"})

    def work(_: int) -> None:
        try:
            for _ in range(3):
                passes.detect_running(api.account.pk, HALF_PAST_TEN)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    assert len(anomalies(api)) == 1


def test_people_resolve_dismiss_and_reopen_and_the_detector_keeps_off(api):
    row = spike(api)
    _, key = issue_key(api.account, scopes=["manage"], name="on-call")
    manager = Api(api.account, key)
    with time_machine.travel(HALF_PAST_TEN, tick=False):
        for status in ("resolved", "active", "dismissed"):
            answer = patch(manager, row["id"], {"status": status})
            assert answer.status_code == 200
            assert json.loads(answer.content, parse_float=str) == row | {
                "status": status,
                "status_changed_at": "2025-01-15T10:30:00Z",
                "status_changed_by": f"key {key[:11]}… on-call",
            }
    spend(api, {DAY: "100.00"})
    detect(api)
    assert told(api, "status", "actual_value") == [("dismissed", "155.00")]
    assert told(api, "id", status="active") == []


@pytest.mark.parametrize(
    ("body", "status", "errors"),
    [
        (b"{", 400, []),
        (b"\xff", 400, []),
        (b"[]", 422, [("/status", "required")]),
        ({}, 422, [("/status", "required")]),
        (
            {"status": "open", "a/b": 1},
            422,
            [("/a~1b", "unknown_field"), ("/status", "invalid_choice")],
        ),
        ({"status": ["active"]}, 422, [("/status", "invalid_choice")]),
        (b" " * 2000, 413, []),
    ],
)
def test_a_bad_status_is_refused_by_field(api, body, status, errors):
    row = spike(api)
    said = problem(patch(api, row["id"], body), status)
    assert [(one["pointer"], one["code"]) for one in said.get("errors", [])] == errors
    assert anomalies(api) == [row]


@pytest.mark.parametrize("name", ["anomaly_0", "anomaly_x", "1", "anomaly_" + "9" * 30])
def test_no_such_anomaly(api, name):
    problem(patch(api, name, {"status": "active"}), 404)


def test_admin_lists_filters_and_acts(api):
    spike(api)
    (anomaly,) = Anomaly.objects.filter(account=api.account)
    admin = person(superuser=True)
    path, mine = "/admin/analytics/anomaly/", {"account__id__exact": api.account.pk}
    for action, status in (("dismiss", "dismissed"), ("reopen", "active"), ("resolve", "resolved")):
        form = {"action": action, "_selected_action": [anomaly.pk]}
        assert admin.post(path, form).status_code == 302
        assert column(page(admin, path, **mine, status__exact=status), "status") == [
            status.capitalize()
        ]
    anomaly.refresh_from_db()
    assert anomaly.status_changed_by
    assert column(page(admin, path, **mine, severity__exact="low"), "status") == []
    viewer = person()
    assert (
        viewer.post(path, {"action": "dismiss", "_selected_action": [anomaly.pk]}).status_code
        == 403
    )


def test_every_account_is_looked_at_though_one_fails(api, other, monkeypatch, caplog):
    for one in (api, other):
        spend(one, dict.fromkeys(before(7), "12.50") | {DAY: "55.00"})
    accounts = Account.objects.filter(pk__in=[api.account.pk, other.account.pk])
    monkeypatch.setattr(passes, "Account", type("Only", (), {"objects": accounts}))
    detect_one = passes.detect

    def breaks_for_the_first(account_id: int, now: datetime) -> None:
        if account_id == api.account.pk:
            raise ValueError("on purpose")
        detect_one(account_id, now)

    monkeypatch.setattr(passes, "detect", breaks_for_the_first)
    passes.run(HALF_PAST_TEN)
    assert (len(anomalies(api)), len(anomalies(other))) == (0, 1)
    assert "ValueError: on purpose" in caplog.text
