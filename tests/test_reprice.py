"""Costs after the fact: what would change, the change as a whole, and back to the last decimal."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from analytics.worker import JOBS, Worker
from events.models import Event
from events.price_models import RepricedEvent, Repricing
from events.roller import roll_up
from tests.adminsite import page, person
from tests.commandline import call
from tests.conftest import Api, event, new_api
from tests.test_rollups import every_answer, random_event

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PERIOD = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
PROVIDER = {"provider": "acme", "model": "acme-1"}


def roll_up_all() -> None:
    while roll_up():
        pass


def set_price(api: Api, unit: str, usd: str, **more: Any) -> None:
    sent = {**PROVIDER, "unit": unit, "usd_per_unit": usd, **more}
    assert api.post("/v1/prices", sent).status_code == 201


def acme(**fields: Any) -> dict[str, Any]:
    """100 tokens in, 50 out, without a cost."""
    return event(**{**PROVIDER, "cost_usd": None, **fields})


def reprice(api: Api, *options: str) -> str:
    said = call("reprice", "--account", api.account.name, *options)
    assert said.failure is None, said.failure
    return said.out


def verified(api: Api) -> None:
    said = call("verify_rollups", "--account", api.account.name)
    assert said.failure is None, said.out


def summary(api: Api) -> tuple[str, int]:
    found = api.read("/v1/analytics/costs", **PERIOD)["summary"]
    return found["total_cost"], found["unpriced_events"]


@pytest.fixture
def mixed() -> Api:
    """An account whose prices were wrong: some events rolled up and some not, some reported."""
    api, chance = new_api(), random.Random(5)
    set_price(api, "input", "0.000001")
    events = [random_event(chance) for _ in range(400)]
    events += [
        {**random_event(chance), **PROVIDER, "cost_usd": chance.choice([None, None, "0.25"])}
        for _ in range(300)
    ]
    api.send(*events[::2])
    roll_up_all()
    api.send(*events[1::2])
    set_price(api, "input", "0.0000020000000001", valid_from="2015-01-01T00:00:00Z")
    set_price(api, "output", "0.000008")
    set_price(api, "cache_read", "0.0000001")
    return api


def test_run_and_its_undoing_move_all_that_is_rolled_up(mixed):
    before = every_answer(mixed)
    said = reprice(mixed, "--apply").splitlines()
    after = every_answer(mixed)
    verified(mixed)
    assert [line.split(":")[0] for line in said[:-1]] == ["acme/acme-1"]
    run = Repricing.objects.get(account=mixed.account)
    assert said[-1] == f"Run {run.pk}: priced anew: {run.events} events."
    assert run.events == 300
    assert after != before
    roll_up_all()
    verified(mixed)
    assert every_answer(mixed) == after

    assert call("reprice", "--undo", run.pk).out == f"Run {run.pk} is undone: 300 events.\n"
    verified(mixed)
    assert every_answer(mixed) == before
    assert not RepricedEvent.objects.filter(run=run).exists()
    assert call("reprice", "--undo", run.pk).failure == (
        f"There is no run {run.pk} that could be undone."
    )
    assert call("rebuild_rollups", "--account", mixed.account.name).failure is None
    assert every_answer(mixed) == before


def test_dry_run_says_what_a_run_does_and_changes_nothing(api):
    set_price(api, "input", "0.000001")
    api.send(acme(output_tokens=0), acme(output_tokens=0), acme(), event())
    before = summary(api)
    set_price(api, "input", "0.000003", valid_from="2015-01-01T00:00:00Z")
    set_price(api, "output", "0.000001")
    line = "acme/acme-1: 3 events, 0.0002 -> 0.00095 USD, 1 -> 0 unpriced\n"
    assert before == ("0.5002", 1)
    assert reprice(api) == f"{line}Would be priced anew: 3 events.\n"
    assert summary(api) == before
    assert not Repricing.objects.filter(account=api.account).exists()
    assert reprice(api, "--apply").startswith(line)
    assert summary(api) == ("0.50095", 0)
    assert reprice(api, "--apply") == "Would be priced anew: 0 events.\n"


SCOPES = {
    "--unpriced": "c",
    "--from 2025-01-16 --to 2025-01-16": "b",
    "--to 2025-01-15": "ac",
    "--model acme-1": "abc",
    "--provider acme": "abc",
    "--model acme-2": "",
    "--provider openai": "",
}


@pytest.mark.parametrize("options", SCOPES)
def test_scope_is_kept_to(api, options):
    set_price(api, "input", "0.000001")
    api.send(
        acme(id="a", output_tokens=0),
        acme(id="b", output_tokens=0, timestamp="2025-01-16T23:59:59.999999Z"),
        acme(id="c"),
    )
    set_price(api, "input", "0.000003", valid_from="2015-01-01T00:00:00Z")
    set_price(api, "output", "0")
    reprice(api, *options.split(), "--apply")
    rows = Event.objects.filter(account=api.account, cost_source=3)
    assert "".join(sorted(row.id for row in rows)) == SCOPES[options]


def test_reported_costs_stay_unless_asked_and_come_back(api):
    set_price(api, "input", "0.000001")
    set_price(api, "output", "0.000001")
    api.send(acme(id="a", cost_usd="0.5"), acme(id="b", cost_usd="0.25", model="nobody-knows"))
    roll_up_all()
    set_price(api, "input", "0.000002", valid_from="2015-01-01T00:00:00Z")
    reprice(api, "--apply")
    one = api.read("/v1/events/a")
    assert (one["cost_usd"], one["cost_source"]) == ("0.50", "reported")
    assert one["computed_cost_usd"] == "0.00025"
    verified(api)

    reprice(api, "--reported", "--apply")
    one = api.read("/v1/events/a")
    assert (one["cost_usd"], one["cost_source"]) == ("0.00025", "repriced")
    assert summary(api) == ("0.25025", 0)
    verified(api)

    last, first = Repricing.objects.filter(account=api.account).order_by("-pk")
    refused = call("reprice", "--undo", first.pk).failure
    assert refused == f"Run {last.pk} has priced some of these events since: undo it first."
    call("reprice", "--undo", last.pk)
    call("reprice", "--undo", first.pk)
    assert api.read("/v1/events/a")["computed_cost_usd"] == "0.00015"
    assert summary(api) == ("0.75", 0)
    verified(api)


def test_reader_sees_the_old_or_the_new_and_nothing_between(api):
    set_price(api, "input", "0.000001")
    acts = [acme(output_tokens=0, session_id=f"s{n % 97}") for n in range(5000)]
    api.send(*acts)
    roll_up_all()
    set_price(api, "input", "0.000003", valid_from="2015-01-01T00:00:00Z")
    questions = ("costs?group_by=model,day", "costs", "sessions", "models", "costs?tags=a:b")

    def ask() -> tuple[bytes, ...]:
        dates = "start_date=2025-01-01&end_date=2025-01-31"
        return tuple(
            api.get(f"/v1/analytics/{name}{'&' if '?' in name else '?'}{dates}").content
            for name in questions
        )

    before = ask()
    seen = watched(ask, lambda: reprice(api, "--apply"))
    after = ask()
    assert before != after
    for column, old, new in zip(zip(*seen, strict=True), before, after, strict=True):
        assert set(column) <= {old, new}
    run = Repricing.objects.get(account=api.account)
    for answers in watched(ask, lambda: call("reprice", "--undo", run.pk)):
        assert all(one in pair for one, *pair in zip(answers, before, after, strict=True))
    assert ask() == before


def watched(ask: Callable[[], Any], act: Callable[[], Any]) -> list[Any]:
    """What a reader in a loop sees while something is done."""
    seen, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(ask())
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    act()
    stop.set()
    reader.join()
    assert seen
    return seen


def test_each_event_is_priced_at_its_own_instant(api):
    set_price(api, "output", "0")
    api.send(*(acme(id=f"{day}", timestamp=f"2025-01-{day}T00:00:00Z") for day in (10, 15, 20)))
    set_price(api, "input", "0.000001")
    set_price(api, "input", "0.000002", valid_from="2025-01-15T00:00:00Z")
    reprice(api, "--apply")
    costs = [api.read(f"/v1/events/{day}")["cost_usd"] for day in (10, 15, 20)]
    assert costs == ["0.0001", "0.0002", "0.0002"]


# --- by the worker ---------------------------------------------------------------------------


def work() -> None:
    """What the worker does in a round."""
    worker = Worker(JOBS)
    for job in JOBS:
        if job.name in {"roll up", "price"}:
            worker.run_if_due(job, NOW, 0)


def test_unknown_model_is_null_and_counted_then_priced_when_its_price_comes(api, other):
    for one in (api, other):
        one.send(*(acme(session_id="s") for _ in range(3)), event(), acme(cost_usd="7"))
    listed = api.read("/v1/events")["data"]
    assert [row["cost_usd"] for row in listed].count(None) == 3
    work()
    assert summary(api) == ("7.50", 3)
    assert api.read("/v1/analytics/costs/accuracy", **PERIOD)["summary"]["unpriced_tokens"] == 450

    set_price(api, "input", "0.000002")
    work()
    assert summary(api) == ("7.50", 3)  # a part of the price is none
    set_price(api, "output", "0.000008")
    assert summary(api) == ("7.50", 3)
    work()

    assert summary(api) == ("7.5018", 0)
    assert summary(other) == ("7.50", 3)
    row = api.read("/v1/analytics/sessions", **PERIOD)["data"][0]
    assert (row["total_cost"], row["turn_count"]) == ("0.0018", 3)
    (run,) = Repricing.objects.filter(account=api.account)
    assert (run.made_by, run.events) == ("worker", 3)
    verified(api)
    work()
    assert Repricing.objects.filter(account=api.account).count() == 1
    api.send(acme())
    assert summary(api) == ("7.5024", 0)


def test_events_before_their_price_stay_unpriced(api):
    api.send(acme(), acme(timestamp="2025-01-20T00:00:00Z"))
    for unit in ("input", "output"):
        set_price(api, unit, "0.000001", valid_from="2025-01-16T00:00:00Z")
    work()
    work()
    assert summary(api) == ("0.00015", 1)
    verified(api)


# --- in the admin ----------------------------------------------------------------------------


def test_admin_lists_the_unpriced_and_prices_them(api):
    api.send(acme(), acme(timestamp="2025-01-16T00:00:00Z"))
    admin = person(superuser=True)
    mine = {"account__id__exact": api.account.pk, "price": "missing"}
    for _ in range(2):
        html = page(admin, "/admin/events/llmmodel/", **mine)
        assert 'class="field-unpriced_events">2<' in html
        assert 'class="field-unpriced_tokens">300<' in html
        roll_up_all()
    link = f"/admin/events/price/add/?account={api.account.pk}&amp;provider=acme&amp;model=acme-1"
    assert link in html
    form = page(admin, link.replace("&amp;", "&"))
    assert 'value="acme-1"' in form

    sent = {"account": api.account.pk, **PROVIDER, "service_tier": 0, "context_over": 0}
    assert "Enter at least one price." in admin.post("/admin/events/price/add/", sent).text
    response = admin.post("/admin/events/price/add/", sent | {"input": "2", "output": "8"})
    assert response.status_code == 302, response.text
    work()
    assert summary(api) == ("0.0012", 0)
    assert 'field-per_million">8.00<' in page(admin, "/admin/events/price/", q="acme-1")


def test_admin_shows_what_a_run_does_applies_and_undoes_it(api):
    set_price(api, "input", "0.000001")
    api.send(acme(output_tokens=0))
    set_price(api, "input", "0.000003", valid_from="2015-01-01T00:00:00Z")
    admin, address = person(superuser=True), "/admin/events/repricing/add/"
    assert "Price events anew" in page(admin, address)
    scope = {"account": api.account.pk, "model": "acme-1", "first_day": "2025-01-01"}
    shown = admin.post(address, scope | {"preview": "1"}).text
    assert "<td>0.0001000000</td><td>0.0003000000</td>" in shown
    assert summary(api)[0] == "0.0001"
    assert admin.post(address, scope | {"apply": "1"}).status_code == 302
    assert summary(api)[0] == "0.0003"
    run = Repricing.objects.get(account=api.account)
    undo = {"action": "undo", "_selected_action": [run.pk]}
    said = admin.post("/admin/events/repricing/", undo, follow=True).text
    assert f"Run {run.pk} is undone." in said
    assert summary(api)[0] == "0.0001"
    assert person().post(address, scope).status_code == 403
