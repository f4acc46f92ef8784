"""Rollups + tail = events, whatever has been rolled up and wherever an answer is read."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from events.measures import MEASURES
from events.roller import roll_up
from events.rollups import ROLLUPS
from tests.conftest import event

PERIOD = {"start_date": "2025-03-20", "end_date": "2025-04-10"}
COMPARED = {
    "period1_start": "2025-04-01",
    "period1_end": "2025-04-10",
    "period2_start": "2025-03-20",
    "period2_end": "2025-03-31",
}
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe")
GROUPINGS = (
    "entity", "entity_type", "provider", "model", "day", "week", "tags.feature", "hour,entity",
    "day,model", "entity,model", "day,tags.feature", "model,tags.feature", "month,entity_type",
)  # fmt: skip
FILTERS = (
    {},
    {"entity_type": "customer"},
    {"entity_type": "team", "entity_id": "e1"},
    {"model": "gpt-4o", "tags": "feature:chat"},
    {"tags": "feature:search"},
)


def roll_up_all():
    while roll_up():
        pass


def random_event(chance):
    start = datetime(2025, 3, 19, tzinfo=UTC)
    moment = start + timedelta(
        minutes=15 * chance.randrange(96 * 24), microseconds=chance.choice([0, 1, -1])
    )
    entity = chance.choice([{}, {"entity_type": "customer"}, {"entity_type": "team"}])
    return event(
        timestamp=moment.isoformat(),
        model=chance.choice(["gpt-4o", "claude-sonnet-4-5", "nobody-knows"]),
        cost_usd=chance.choice([None, "0.0000000001", "0.30", "12.3456789012"]),
        latency_ms=chance.choice([None, 1, 100]),
        success=chance.random() > 0.1,
        session_id=chance.choice([None, *(f"s{n}" for n in range(40))]),
        tags=chance.choice([{}, {"feature": "chat"}, {"feature": "search", "env": "prod"}]),
        **(entity and {**entity, "entity_id": f"e{chance.randrange(4)}"}),
    )


def every_answer(api):
    """The answers of every endpoint to many questions, as text."""
    questions = [("costs", {"group_by": grouping}) for grouping in GROUPINGS]
    questions += [("costs/timeseries", {"interval": interval}) for interval in ("hour", "day")]
    questions += [(name, {}) for name in ("costs", "models", "entities/top", "sessions")]
    asked = [
        (f"/v1/analytics/{path}", {**PERIOD, **extra, **chosen})
        for path, extra in questions
        for chosen in FILTERS
    ]
    for number, (_, params) in enumerate(asked):  # 4 zones, 5 filters: each pair comes up
        params["timezone"] = ZONES[number % len(ZONES)]
    # A year of days in Kathmandu is more spans of the log than are looked up one by one.
    year = {"start_date": "2024-06-01", "end_date": "2025-05-31", "timezone": "Asia/Kathmandu"}
    asked.append(("/v1/analytics/costs", {**year, "group_by": "day,entity"}))
    asked += [("/v1/analytics/compare", {**COMPARED, "timezone": zone}) for zone in ZONES]
    asked += [("/v1/entities", {}), *(("/v1/events", {**chosen, "limit": 1}) for chosen in FILTERS)]
    return {f"{path} {params}": api.get(path, **params).content for path, params in asked}


@pytest.fixture
def busy(api):
    """An account with 1,200 events in 6 batches."""
    chance = random.Random(3)
    for _ in range(6):
        api.send(*(random_event(chance) for _ in range(200)))
    return api


def test_answers_are_the_same_from_the_tail_from_rollups_and_from_both(api):
    chance = random.Random(3)
    for _ in range(3):
        api.send(*(random_event(chance) for _ in range(200)))
    from_the_tail = every_answer(api)
    roll_up_all()
    assert every_answer(api) == from_the_tail

    for _ in range(3):
        api.send(*(random_event(chance) for _ in range(200)))
    from_both = every_answer(api)
    roll_up_all()
    assert every_answer(api) == from_both
    assert from_both != from_the_tail


@pytest.mark.parametrize(
    "kept", [*ROLLUPS, None], ids=lambda rollup: rollup.name if rollup else "log"
)
def test_every_source_that_covers_a_question_answers_it_alike(busy, monkeypatch, kept):
    roll_up_all()
    expected = every_answer(busy)
    monkeypatch.setattr("analytics.planner.ROLLUPS", (kept,) if kept else ())
    assert every_answer(busy) == expected


@pytest.mark.parametrize("rollup", ROLLUPS, ids=lambda rollup: rollup.name)
def test_a_table_is_what_its_declaration_says(rollup):
    with connection.cursor() as cursor:
        columns = {
            column.name
            for column in connection.introspection.get_table_description(cursor, rollup.table)
        }
        constraints = connection.introspection.get_constraints(cursor, rollup.table)
    assert columns == {*rollup.key, *MEASURES}
    (primary,) = (found for found in constraints.values() if found["primary_key"])
    assert tuple(primary["columns"]) == rollup.key


DERIVED = [rollup for rollup in ROLLUPS if rollup.source]


@pytest.mark.parametrize("rollup", DERIVED, ids=lambda rollup: rollup.name)
def test_a_rollup_can_be_summed_from_its_source(rollup):
    (source,) = (found for found in ROLLUPS if found.name == rollup.source)
    assert source.covers(frozenset(rollup.dimensions))
    assert rollup.grain % source.grain == 0
    # Steps of one statement: the source's rows come first.
    assert source.source is None or source.grain < rollup.grain


def rows_of(table, account):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} WHERE account_id = %s", [account.pk])
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_a_day_of_one_entity_is_one_row(api):
    whose = {"entity_type": "customer", "entity_id": "acme"}
    api.send(
        event(**whose, latency_ms=10, cache_read_tokens=7, reasoning_tokens=3),
        event(**whose, cost_usd=None, model="nobody-knows", success=False),
    )
    api.send(event(**whose, timestamp="2025-01-15T23:59:59.999999Z", cost_usd="0.0000000001"))
    roll_up_all()

    (row,) = rows_of("events_rollup_day_entity", api.account)

    assert row.pop("account_id") == api.account.pk
    assert row.pop("entity_id") > 0
    assert {name: str(value) for name, value in row.items()} == {
        "bucket": "2025-01-15 00:00:00+00:00",
        "events": "3",
        "failed_events": "1",
        "unpriced_events": "1",
        "cost": "0.5000000001",
        "input_tokens": "300",
        "output_tokens": "150",
        "cache_read_tokens": "7",
        "cache_write_tokens": "0",
        "reasoning_tokens": "3",
        "latency_sum": "10",
        "latency_count": "1",
    }


def test_a_late_first_event_moves_the_session_and_its_entity(api):
    turn = {"session_id": "talk", "entity_type": "customer"}
    api.send(event(**turn, entity_id="later", timestamp="2025-02-01T00:10:00Z"))
    roll_up_all()
    api.send(event(**turn, entity_id="first", timestamp="2025-01-31T23:50:00Z"))
    in_the_tail = api.read("/v1/analytics/sessions", start_date="2025-01-01", end_date="2025-01-31")
    roll_up_all()

    january = api.read("/v1/analytics/sessions", start_date="2025-01-01", end_date="2025-01-31")
    february = api.read("/v1/analytics/sessions", start_date="2025-02-01", end_date="2025-02-28")

    assert in_the_tail == january
    assert january["data"] == [
        {
            "session_id": "talk",
            "entity_type": "customer",
            "entity_id": "first",
            "started_at": "2025-01-31T23:50:00Z",
            "ended_at": "2025-02-01T00:10:00Z",
            "turn_count": 2,
            "total_cost": "1.00",
            "total_tokens": 300,
        }
    ]
    assert february["summary"]["total_sessions"] == 0


def test_verify_finds_what_differs_and_rebuild_mends_it(busy, capsys):
    roll_up_all()
    name = busy.account.name
    call_command("verify_rollups", account=name)
    for damage in (
        "UPDATE events_rollup_day_entity SET cost = cost + 0.0000000001",
        "DELETE FROM events_rollup_quarter_tags",
        "UPDATE events_session SET turns = turns + 1",
        "DELETE FROM events_sessionstart",
        "UPDATE events_entityspend SET events = 0",
    ):
        with connection.cursor() as cursor:
            cursor.execute(f"{damage} WHERE account_id = %s", [busy.account.pk])
        with pytest.raises(CommandError, match="differ from the log"):
            call_command("verify_rollups", account=name)
        call_command("rebuild_rollups", account=name)
        call_command("verify_rollups", account=name)
    assert "rollups + tail = log" in capsys.readouterr().out


def test_the_tail_is_no_difference(busy):
    call_command("verify_rollups", account=busy.account.name)
    call_command("rebuild_rollups", account=busy.account.name)
    call_command("verify_rollups", account=busy.account.name)
    roll_up_all()
    call_command("verify_rollups", account=busy.account.name)


def test_a_session_is_listed_whole_before_and_after_it_is_rolled_up(api):
    turns = [
        ("a", "2025-01-31T23:59:00Z"),
        ("b", "2025-03-01T00:00:00Z"),
        ("c", "2025-02-01T00:00:00Z"),
    ]
    for number, (id_, moment) in enumerate(turns):
        api.send(event(id=id_, timestamp=moment, session_id="talk"), event(timestamp=moment))
        listed = api.read("/v1/events", session_id="talk")
        assert listed["pagination"]["total"] == number + 1
        roll_up_all()
    assert [row["id"] for row in api.read("/v1/events", session_id="talk")["data"]] == [
        "b",
        "c",
        "a",
    ]
    assert api.read("/v1/events", session_id="nobody")["data"] == []


def test_an_account_whose_sums_overflow_does_not_hold_up_the_others(api, other):
    huge = event(input_tokens=10**12, cost_usd="1")
    for _ in range(2):
        api.send(*(huge for _ in range(5_000)))
    with connection.cursor() as cursor:  # as if 9 million such events had been rolled up
        cursor.execute(
            "UPDATE events_event SET input_tokens = 9 * 10^17 WHERE account_id = %s",
            [api.account.pk],
        )
    other.send(event(entity_type="team", entity_id="a"))
    roll_up_all()
    assert len(rows_of("events_rollup_day_entity", other.account)) == 1
    assert rows_of("events_rollup_day_entity", api.account) == []
    costs = api.read("/v1/analytics/costs", start_date="2025-01-01", end_date="2025-01-31")
    assert costs["data"][0]["total_input_tokens"] == 10_000 * 9 * 10**17
    with connection.cursor() as cursor:  # let the other tests' rolling up be quick
        cursor.execute("DELETE FROM events_pendingbatch WHERE account_id = %s", [api.account.pk])


def test_very_many_batches_are_rolled_up_at_once(api):
    roll_up_all()
    for number in range(1001):
        api.post("/v1/events", event(id=str(number)))
    assert roll_up() >= 1001
