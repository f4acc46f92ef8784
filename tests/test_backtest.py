"""The detector as `backtest_anomalies` measures it, on fewer series than by default."""

from typing import NamedTuple

import pytest

from analytics.anomalies.simulate import FAMILIES
from tests.commandline import call

OURS, *PLAIN = RULES = ("costprism", "7-day average x 2", "28-day mean ± 3sigma")


class Line(NamedTuple):
    """One line of the table."""

    precision: float
    recall: float
    recall_big: float
    f1: float
    delay: float | None
    false: float


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, str], Line]:
    said = call("backtest_anomalies", "--entities", "4", "--seed", "7")
    assert said.failure is None
    lines = {}
    for text in said.out.splitlines()[1:]:
        family, rule, numbers = text[:13].strip(), text[14:34].strip(), text[34:]
        first, second, third, fourth, *delay, false = numbers.replace(" h", "").split()
        hours = float(delay[0]) if delay else None
        scores = map(float, (first, second, third, fourth))
        lines[family, rule] = Line(*scores, hours, float(false))
    return lines


def test_every_rule_is_measured_on_every_family(table):
    families = [*(family.name for family in FAMILIES), "all"]
    assert set(table) == {(family, rule) for family in families for rule in RULES}


def test_few_false_alarms_and_little_missed(table):
    ours = table["all", OURS]
    assert ours.precision >= 0.95
    assert ours.recall_big >= 0.95
    assert ours.false <= 1


def test_a_fivefold_spike_is_told_within_two_hours(table):
    assert table["all", OURS].delay < 2


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
@pytest.mark.parametrize("rule", PLAIN)
def test_better_than_a_plain_rule(table, family, rule):
    assert table[family, OURS].f1 > table[family, rule].f1
