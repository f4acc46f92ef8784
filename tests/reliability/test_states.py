"""Whatever is done in whatever order, the answers are those of the events that were stored."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from events.ledger import (
    day_differences,
    days_of_log,
    rebuild_day,
    rebuild_whole,
    whole_differences,
)
from events.roller import roll_up
from tests.conftest import event, new_api

YEAR = {"start_date": "2025-01-01", "end_date": "2025-12-31"}
IDS = st.integers(0, 30)
DAYS = [date(2025, 1, 30) + timedelta(days=number) for number in range(6)]


class Meter(RuleBasedStateMachine):
    """An account: what it was sent, and what it must answer."""

    def __init__(self) -> None:
        super().__init__()
        self.api = new_api()
        self.stored: dict[str, dict[str, Any]] = {}

    def made(self, number: int, cents: int) -> dict[str, Any]:
        """The event of an id; `cents` is what may conflict."""
        return event(
            id=f"e{number}",
            timestamp=f"{DAYS[number % 6]}T23:59:59Z",
            cost_usd=f"0.{cents:02}",
            entity_type="team",
            entity_id=f"t{number % 3}",
            session_id=f"s{number % 4}",
        )

    def expect(self, sent: list[dict[str, Any]], answer: Any) -> None:
        """Each outcome must be what the model says; what is new is stored."""
        outcomes: Counter[str] = Counter()
        for one in sent:
            kept = self.stored.setdefault(one["id"], one)
            new = kept is one
            outcomes["created" if new else "duplicate" if kept == one else "conflict"] += 1
        counts = {"accepted": "created", "duplicates": "duplicate", "conflicts": "conflict"}
        for name, outcome in counts.items():
            assert answer[name] == outcomes[outcome], (name, sent)

    @rule(sent=st.lists(st.tuples(IDS, st.sampled_from([1, 1, 1, 2])), min_size=1, max_size=8))
    def send(self, sent):
        """New events, events again, and events with other content, also in one batch."""
        batch = [self.made(*one) for one in sent]
        answer = self.api.post("/v1/events", {"events": batch})
        assert answer.status_code == 200
        self.expect(batch, answer.json())

    @rule(sent=st.lists(IDS, min_size=1, max_size=8), after=st.integers(0, 8))
    def send_and_be_killed(self, sent, after):
        """The database hangs up at some statement; the whole batch is sent again."""
        batch = [self.made(number, 1) for number in sent]
        left = [after]

        def hang_up(execute, sql, params, many, context):
            left[0] -= 1
            if left[0] == 0:
                execute("SELECT pg_terminate_backend(pg_backend_pid())", None, many, context)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(hang_up):
            answer = self.api.post("/v1/events", {"events": batch})
        assert answer.status_code in (200, 503)
        if answer.status_code == 503:
            connection.close()
            answer = self.api.post("/v1/events", {"events": batch})
        if answer.status_code == 200 and left[0] > 0:
            self.expect(batch, answer.json())
        else:  # it may have been stored and the answer lost
            for one in batch:
                self.stored.setdefault(one["id"], one)

    @rule()
    def roll_up(self):
        roll_up()

    @rule()
    def rebuild(self):
        """Make all rollups anew."""
        for day in days_of_log(self.api.account.pk):
            rebuild_day(day, self.api.account.pk)
        rebuild_whole(self.api.account.pk)

    @rule(entity=st.integers(0, 2), period=st.tuples(*[st.sampled_from(DAYS)] * 2))
    def ask(self, entity, period):
        """Of one entity, some days."""
        first, last = map(str, sorted(period))
        asked = {"start_date": first, "end_date": last}
        answer = self.api.read("/v1/analytics/costs", **asked, entity_id=f"t{entity}")["summary"]
        chosen = [
            one
            for one in self.stored.values()
            if one["entity_id"] == f"t{entity}" and first <= one["timestamp"][:10] <= last
        ]
        assert answer["total_events"] == len(chosen)
        assert Decimal(answer["total_cost"]) == sum(Decimal(one["cost_usd"]) for one in chosen)

    @invariant()
    def everything_is_there_once(self):
        answer = self.api.read("/v1/analytics/costs", **YEAR)["summary"]
        assert answer["total_events"] == len(self.stored)
        total = sum((Decimal(one["cost_usd"]) for one in self.stored.values()), Decimal(0))
        assert Decimal(answer["total_cost"]) == total
        sessions = self.api.read("/v1/analytics/sessions", **YEAR)["summary"]
        assert sessions["total_sessions"] == len(
            {one["session_id"] for one in self.stored.values()}
        )

    def teardown(self):
        """The rollups equal the log."""
        account = self.api.account.pk
        for day in days_of_log(account):
            assert day_differences(day, account) == []
        assert whole_differences(account) == []


@pytest.mark.parametrize("examples", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_any_order_of_events(examples, figures):
    run_state_machine_as_test(
        Meter,
        settings=settings(
            max_examples=examples,
            stateful_step_count=15 if examples == 20 else 30,
            deadline=None,
            database=None,
            derandomize=examples == 20,
            suppress_health_check=list(HealthCheck),
        ),
    )
    figures.show(f"{examples} sequences of steps, violations", 0, "0")
