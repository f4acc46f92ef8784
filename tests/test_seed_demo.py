"""`seed_demo`: the same for the same seed, and believable."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from statistics import correlation, median
from uuid import uuid4

import pytest

from apikeys.models import Account
from events.demo_cast import OWN
from events.demo_data import MOST_TURNS, Plan
from events.models import Entity
from events.pricing.costs import costs
from events.schema import NewEvent, normalise
from tests.commandline import call, run

END = date(2026, 3, 1)
START = END - timedelta(days=90)
PLAN = ["--days", "30", "--end", END, "--seed", "7"]


@pytest.fixture(scope="module")
def events() -> list[NewEvent]:
    """A set of the default length, as it is recorded."""
    now = datetime.combine(END, time(), UTC)
    return [normalise(event, now) for event in Plan(20_000, 90, END, seed=1).generate()]


def per_day(events: list[NewEvent]) -> Callable[[date], int]:
    return Counter(event.timestamp.date() for event in events).__getitem__


def test_the_same_plan_adds_nothing_also_from_another_process(api):
    options = ["seed_demo", "--account", api.account.name, "--events", "1500", *PLAN]

    assert call(*options).out == f"{api.account.name}: 1500 events created, 0 were there.\n"
    again = run(*options)

    assert again.returncode == 0
    assert again.stdout == f"{api.account.name}: 0 events created, 1500 were there.\n"
    assert again.stderr.startswith("1,500 of 1,500 events, ")
    costs = api.read("/v1/analytics/costs", start_date="2026-01-30", end_date="2026-02-28")
    assert costs["summary"]["total_events"] == 1500


@pytest.mark.parametrize("option", [("--seed", "8"), ("--end", "2026-02-28"), ("--days", "29")])
def test_another_plan_is_another_set(api, option):
    options = ["seed_demo", "--account", api.account.name, "--events", "40", *PLAN]

    call(*options)

    assert call(*options, *option).out == f"{api.account.name}: 40 events created, 0 were there.\n"


def test_entities_get_names_where_they_have_none(api):
    kept = Entity.objects.create(
        account=api.account, entity_type="customer", entity_id="globex", name="My Globex"
    )

    call("seed_demo", "--account", api.account.name, "--events", "1500", *PLAN)

    names = dict(Entity.objects.filter(account=api.account).values_list("entity_id", "name"))
    assert names[kept.entity_id] == "My Globex"
    assert names["acme-corp"] == "Acme Corp"
    assert "" not in names.values()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--events", "0"], "--events: at least 1."),
        (["--days", "0"], "--days: at least 1, and none before 2015-01-01."),
        (["--days", "9999"], "--days: at least 1, and none before 2015-01-01."),
        (["--end", "2100-01-01"], "--end: not after today, "),
        (["--end", "soon"], "Error: argument --end: 'soon' is no day, YYYY-MM-DD"),
    ],
)
def test_plan_that_cannot_be(options, complaint):
    name = f"Unmade {uuid4().hex}"

    said = call("seed_demo", "--account", name, *options)

    assert said.failure is not None
    assert said.failure.startswith(complaint)
    assert not Account.objects.filter(name=name).exists()


def test_as_many_as_asked_all_within_the_period(events):
    assert len({event.id for event in events}) == 20_000
    assert {event.timestamp.date() for event in events} == {
        START + timedelta(days=day) for day in range(90)
    }
    assert [len(list(Plan(n, 3, END, 1).generate())) for n in (1, 2, 100)] == [1, 2, 100]


def test_weekends_are_quiet_and_business_grows(events):
    count = per_day(events)
    days = [START + timedelta(days=day) for day in range(90)]
    weekdays = [count(day) for day in days if day.weekday() < 5]
    weekend = [count(day) for day in days if day.weekday() >= 5]

    assert 0.2 < median(weekend) / median(weekdays) < 0.4
    assert 1.2 < median(weekdays[-20:]) / median(weekdays[:20]) < 1.8


def test_some_days_stand_out(events):
    count = per_day(events)
    days = [START + timedelta(days=day) for day in range(7, 83)]
    week = timedelta(days=7)
    times = sorted(2 * count(day) / (count(day - week) + count(day + week)) for day in days)

    assert times[-1] > 1.5
    assert times[-10] < 1.4


def test_people_work_by_day_where_they_are(events):
    def busiest_hours(region: str) -> set[int]:
        hours = Counter(e.timestamp.hour for e in events if e.tags["region"] == region)
        return {hour for hour, _ in hours.most_common(8)}

    assert busiest_hours("us") <= set(range(13, 24))
    assert busiest_hours("eu") <= set(range(7, 18))
    assert busiest_hours("apac") <= set(range(11))


def test_nearly_all_is_priced_by_the_catalogue(api, events):
    reported = [event for event in events if event.reported_cost is not None]
    found = zip(events, costs(api.account.pk, events), strict=True)
    unpriced = [event for event, cost in found if cost.usd is None]

    assert 0.01 < len(reported) / len(events) < 0.04
    assert 0.001 < len(unpriced) / len(events) < 0.01
    assert {(event.provider, event.model) for event in unpriced} == {(OWN.provider, OWN.name)}
    assert len({event.provider for event in events}) == 7


def test_some_calls_fail(events):
    failed = [event for event in events if not event.success]

    assert 0.01 < len(failed) / len(events) < 0.02
    assert {event.error_code for event in failed} == {"429", "529", "504", "400"}
    assert all(event.error_type and event.output_tokens == 0 for event in failed)
    assert not any(event.error_type or event.error_code for event in events if event.success)


def test_sessions_are_conversations_whose_context_grows(events):
    sessions: dict[str, list[NewEvent]] = {}
    for event in events:
        if event.session_id:
            sessions.setdefault(event.session_id, []).append(event)
    lengths = {len(turns) for turns in sessions.values()}

    assert lengths == set(range(1, MOST_TURNS + 1))
    for turns in sessions.values():
        assert len({(t.entity, t.model, t.provider, *t.tags.values()) for t in turns}) == 1
        assert [t.timestamp for t in turns] == sorted(t.timestamp for t in turns)
        inputs = [turn.input_tokens for turn in turns if turn.success]
        assert inputs == sorted(inputs)
    assert sum(event.cache_read_tokens for event in events) > 0
    assert sum(event.cache_write_tokens for event in events) > 0
    assert sum(event.reasoning_tokens for event in events) > 0


def test_longer_answers_take_longer(events):
    answered = [event for event in events if event.success]

    assert (
        correlation(
            [event.output_tokens for event in answered], [event.latency_ms for event in answered]
        )
        > 0.7
    )
