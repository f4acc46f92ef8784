"""Random questions about random events: every answer equals the oracle's, to the last decimal."""

import csv
import io
import json
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import pytest

from events.roller import roll_up
from tests import oracle, population
from tests.conftest import Api, new_api
from tests.oracle import Fact, Number, Row

QUESTIONS_EACH = 110
BATCH = 400
YEAR = {"start_date": "2024-12-01", "end_date": "2026-01-31"}
COUNTS = {"accepted": 0, "duplicates": 0, "conflicts": 0, "rejected": 0, "results": []}
ADDITIVE = (
    *("total_cost", "total_events", "total_input_tokens", "total_output_tokens"),
    *("failed_events", "unpriced_events", "total_reasoning_tokens"),
    *("total_cache_read_tokens", "total_cache_write_tokens"),
)


class Tenant:
    """An account, and the events that it sent."""

    def __init__(self) -> None:
        self.api: Api = new_api()
        self.sent: list[Row] = []
        self.facts: list[Fact] = []

    def send(self, events: list[Row], again: list[Row]) -> None:
        """Send new events together with some that were sent before."""
        answer = self.api.post("/v1/events", {"events": events + again}).json()
        assert answer | {"results": []} == COUNTS | {
            "accepted": len(events),
            "duplicates": len(again),
        }
        self.sent += events
        self.facts = oracle.facts(self.sent)

    def ask(self, endpoint: str, question: Row, under: str = "/v1/analytics") -> Any:
        response = self.api.get(f"{under}/{endpoint}", **oracle.parameters(question))
        return json.loads(response.content, parse_float=Number)

    def table(self, endpoint: str, question: Row, under: str = "/v1/analytics") -> list[list[str]]:
        written = self.api.csv(f"{under}/{endpoint}", **oracle.parameters(question))
        return list(csv.reader(io.StringIO(written, newline=""), strict=True))

    def check(self, endpoint: str, question: Row) -> None:
        """One question, as JSON and as CSV."""
        expected = oracle.answer(endpoint, self.facts, question)
        answer = self.ask(endpoint, question)
        assert in_order(answer) == in_order(expected), asked(endpoint, question)
        header, *cells = self.table(endpoint, question)
        assert cells == oracle.table(endpoint, self.facts, question), asked(endpoint, question)
        if expected.get("data"):
            assert header == list(expected["data"][0]), asked(endpoint, question)


def in_order(answer: Row) -> Row:
    """An answer whose rows also compare by the order of their keys."""
    if "data" not in answer:
        return answer
    return answer | {"data": [list(row.items()) for row in answer["data"]]}


def asked(endpoint: str, question: Row) -> str:
    return f"GET {endpoint} {oracle.parameters(question)}"


@cache
def tenants(kind: int) -> list[Tenant]:
    """Two accounts with different events of the same ids and names; half are rolled up."""
    both = [Tenant(), Tenant()]
    events = [population.events(population.KINDS[kind], f"{kind} {letter}") for letter in "ab"]
    for start in range(0, len(events[0]), BATCH):
        for tenant, own in zip(both, events, strict=True):
            tenant.send(own[start : start + BATCH], again=tenant.sent[::37])
        if start < len(events[0]) / 2:
            roll_up_all()
    return both


def roll_up_all() -> None:
    while roll_up():
        pass


@pytest.mark.parametrize("number", range(QUESTIONS_EACH))
@pytest.mark.parametrize("kind", range(len(population.KINDS)))
def test_answer_equals_the_oracle(kind, number):
    random = Random(f"question {kind} {number}")
    tenant = random.choice(tenants(kind))
    tenant.check(*population.question(tenant.sent, random))


def test_answers_equal_the_oracle_while_events_arrive():
    """Batches with duplicates of earlier ones, rolled up now and then; questions after each."""
    random = Random("arrivals")
    tenant = Tenant()
    events = population.events(population.KINDS[0], "arrivals")
    while events:
        size = random.choice([1, 3, 200, 400])
        batch, events = events[:size], events[size:]
        tenant.send(batch, again=random.sample(tenant.sent, len(tenant.sent) // 10))
        if random.random() < 0.5:
            roll_up_all()
        for _ in range(3):
            tenant.check(*population.question(tenant.sent, random))


@pytest.mark.parametrize("kind", range(len(population.KINDS)))
@pytest.mark.parametrize("dimension", [*population.DIMENSIONS, *oracle.INTERVALS])
def test_rows_of_a_grouping_add_up_to_the_whole(kind, dimension):
    tenant = tenants(kind)[0]
    question = YEAR | {"timezone": "Australia/Lord_Howe"}
    (whole,) = tenant.ask("costs", question)["data"]
    grouped = tenant.ask("costs", question | {"group_by": [dimension]})
    for measure in ADDITIVE:
        total = sum(Decimal(row[measure]) for row in grouped["data"])
        assert total == Decimal(whole[measure]), measure
        assert grouped["summary"].get(measure, whole[measure]) == whole[measure], measure


def test_limit_and_offset_count_the_row_of_totals_too():
    """Without `group_by` there is one row; nothing comes after it."""
    tenant = tenants(0)[0]
    for question in ({"limit": 1}, {"offset": 0}, {"offset": 1}, {"limit": 1, "offset": 1}):
        tenant.check("costs", YEAR | question)


@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("kind", range(len(population.KINDS)))
def test_list_of_events_equals_the_oracle(kind, number):
    random = Random(f"list {kind} {number}")
    tenant = random.choice(tenants(kind))
    question = population.list_question(tenant.sent, random)
    answer = tenant.ask("events", question, under="/v1")
    header, *cells = tenant.table("events", question, under="/v1")
    expected = oracle.events(tenant.facts, question)
    assert answer["data"] == oracle.page(expected, question, 100), asked("events", question)
    assert answer["pagination"]["total"] == len(expected), asked("events", question)
    rows = oracle.page(expected, question, None)
    assert [with_tags_read(header, line) for line in cells] == [
        with_tags_read(row, [oracle.cell(value) for value in row.values()]) for row in rows
    ], asked("events", question)


def with_tags_read(names: Iterable[str], cells: list[str]) -> Row:
    """A line by its columns, with its tags read: their keys have no order."""
    line = dict(zip(names, cells, strict=True))
    return line | {"tags": json.loads(line["tags"])}


@pytest.mark.parametrize("question", [{}, {"type": "customer"}, {"type": "Ünit"}, {"type": "x"}])
@pytest.mark.parametrize("kind", range(len(population.KINDS)))
def test_list_of_entities_equals_the_oracle(kind, question):
    for tenant in tenants(kind):
        expected = oracle.entities(tenant.facts, question)
        answer = tenant.ask("entities", question | {"limit": 1000}, under="/v1")
        assert answer["pagination"]["total"] == len(expected)
        assert by_name(answer["data"]) == by_name(expected)
        _, *cells = tenant.table("entities", question, under="/v1")
        shown = [oracle.cell(value) for row in answer["data"] for value in row.values()]
        assert shown == [cell for line in cells for cell in line]


def by_name(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["entity_type"], row["entity_id"]))
