"""Every parameter of every address of the second surface: allowed, refused, and what it answers."""

import json
import re

import pytest
import time_machine

from tests import v2
from tests.conftest import event, new_api

NOW = "2025-02-01T12:00:00Z"
SERIES = ("costs", "tokens", "query-counts")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
KEYS = {
    "costs": {"total_tokens": int, "total_cost": r"\d+\.\d{5,10}"},
    "tokens": {"prompt_tokens": int, "completion_tokens": int, "total_tokens": int},
    "query-counts": {"query_count": int},
    "most-active": {"query_count": int, "total_tokens": int, "total_cost": r"\d+\.\d{5,10}"},
    "recent": {"last_activity": TIME},
}
"""The keys of a row with the type of each value, or the pattern of its text."""
IN_DATA = {"tokens": "token_usage"}
ALLOWED = {
    "type": ["fixed"],
    "days": ["1", "30", "3650"],
    "time_series": ["true", "false", "1", "0", "True"],
    "bucket_type": ["day", "week", "month"],
    "limit": ["1", "10", "1000"],
    "id": ["1", "nobody", "a/b", "😀", " "],
}
REFUSED = {
    "type": ["", "Fixed", "rolling", "\0"],
    "days": ["0", "-1", "3651", "1.5", "", "ten", "1e1"],
    "time_series": ["maybe", "", "2"],
    "bucket_type": ["hour", "", "Day", "year"],
    "limit": ["0", "1001", "-1", "x", ""],
    "id": ["", "\0"],
}
RANGES = [
    *(("2025-01-01", "2025-01-31"), ("2025-01-15", "2025-01-15")),
    *(("2025-01-01T00:00:00Z", "2025-01-31"), ("2025-01-01", "2025-01-31T10:00:00+05:45")),
    *(("2025-01-01T00:00:00", "2025-02-01T00:00:00.5"), ("2000-01-01", "2100-12-31")),
]
BAD_RANGES = [
    ({}, {"start_date", "end_date"}),
    ({"start_date": "2025-01-01"}, {"end_date"}),
    ({"start_date": "", "end_date": "2025-01-31"}, {"start_date"}),
    ({"start_date": "2025-02-30", "end_date": "2025-01-32"}, {"start_date", "end_date"}),
    ({"start_date": "2025-01-01T25:00:00", "end_date": "01/31/2025"}, {"start_date", "end_date"}),
    ({"start_date": "1999-12-31", "end_date": "2101-01-01"}, {"start_date", "end_date"}),
    ({"start_date": "2025-01-32", "end_date": "2025-01-31T10:00"}, {"start_date", "end_date"}),
    ({"start_date": "2025-02-01", "end_date": "2025-01-31"}, {"start_date"}),
    ({"start_date": "2025-01-01T10:00:00", "end_date": "2025-01-01T10:00:00"}, {"start_date"}),
]


def known(path):
    """The parameters of an address; `id` stands for agent_id and so on."""
    kind, name = v2.parts(path)
    if name == "entity-counts":
        return set()
    names = {"type", "days", "start_date", "end_date"}
    if name in SERIES:
        names |= {"time_series", "bucket_type"}
    if kind:
        names |= {"id"} if name == "summary" else {"id", "limit"}
    return names


def spelled(path, name):
    """A parameter as the address calls it."""
    kind, _ = v2.parts(path)
    return f"{v2.KINDS[kind][0]}_id" if name == "id" else name


CASES = [(path, name) for path in v2.ANSWERED for name in sorted(known(path))]
GIVEN = [(path, name) for path, name in CASES if name in ALLOWED]
WITH_RANGE = [path for path in v2.ANSWERED if "start_date" in known(path)]


@pytest.fixture(scope="module")
def api():
    """An account with an entity of each type, and some calls that belong to nobody."""
    made = new_api()
    kinds = [kind for _, types in v2.KINDS.values() for kind in types]
    made.send(event(), *(event(entity_type=kind, entity_id="1") for kind in kinds))
    with time_machine.travel(NOW, tick=False):
        yield made


def ask(api, path, **params):
    return api.get(f"{v2.PREFIX}{path}", **params)


def rows_of(path, response):
    """The rows of an answer, which must be where the contract has them."""
    kind, name = v2.parts(path)
    body = json.loads(response.content, parse_float=str)
    rows = v2.answer(response)
    assert list(body["data"]) == [IN_DATA.get(name, name.replace("-", "_"))]
    if (kind, name) == (None, "tokens"):
        (rows,) = rows
    return rows


def check_rows(path, rows, in_series):
    kind, name = v2.parts(path)
    expected = dict(KEYS[name])
    if kind:
        expected = {f"{v2.KINDS[kind][0]}_name": r"[^\0]+"} | expected
    if in_series:
        expected = {"date": r"\d{4}-\d\d-\d\d"} | expected
    for row in rows:
        assert list(row) == list(expected)
        for key, kind_of in expected.items():
            if kind_of is int:
                assert type(row[key]) is int
            else:
                assert re.fullmatch(kind_of, row[key]), key


@pytest.mark.parametrize(("path", "name"), GIVEN)
def test_allowed_values_are_answered_with_the_keys_and_types_of_the_contract(api, path, name):
    for value in ALLOWED[name]:
        response = ask(api, path, **{spelled(path, name): value})
        assert response.status_code == 200, value
        if v2.parts(path)[1] in KEYS:
            in_series = name == "time_series" and value.lower() in ("true", "1")
            rows = rows_of(path, response)
            check_rows(path, rows, in_series)
            assert rows or value in ("1", "nobody", "a/b", "😀", " ")


@pytest.mark.parametrize("path", v2.ANSWERED)
def test_no_parameters_are_needed(api, path):
    response = ask(api, path)
    if v2.parts(path)[1] in KEYS:
        rows = rows_of(path, response)
        assert rows
        check_rows(path, rows, in_series=False)
    else:
        assert v2.answer(response)


@pytest.mark.parametrize(("path", "name"), GIVEN)
def test_refused_values_are_named_in_the_message(api, path, name):
    parameter = spelled(path, name)
    for value in REFUSED[name]:
        message = v2.refusal(ask(api, path, **{parameter: value}), 400)
        assert message.startswith(f"Bad parameters: `{parameter}`. `{parameter}`: "), message


@pytest.mark.parametrize("path", WITH_RANGE)
def test_ranges(api, path):
    for start, end in RANGES:
        assert ask(api, path, type="range", start_date=start, end_date=end).status_code == 200
    for asked, named in BAD_RANGES:
        message = v2.refusal(ask(api, path, type="range", **asked), 400)
        found = message.partition(".")[0].removeprefix("Bad parameters: ")
        assert set(re.findall(r"\w+", found)) == named, asked


@pytest.mark.parametrize("path", v2.ANSWERED)
def test_parameters_of_other_addresses_are_unknown(api, path):
    every = {"type", "days", "start_date", "end_date", "time_series", "bucket_type", "limit"}
    every |= {f"{noun}_id" for noun, _ in v2.KINDS.values()} | {"entity_id", "timezone", "format"}
    others = every - {spelled(path, name) for name in known(path)}
    message = v2.refusal(ask(api, path, **dict.fromkeys(others, "1")), 400)
    assert set(re.findall(r"Unknown parameter `(\w+)`", message)) == others


@pytest.mark.parametrize(("path", "name"), CASES)
def test_only_ids_may_be_repeated(api, path, name):
    values = ["2025-01-15"] * 2 if name.endswith("_date") else [ALLOWED[name][0]] * 2
    asked = {"type": "range", "start_date": "2025-01-01", "end_date": "2025-01-31"}
    response = ask(api, path, **(asked if "date" in name else {}) | {spelled(path, name): values})
    if name == "id":
        assert response.status_code == 200
    else:
        assert f"`{name}`: Give `{name}` once." in v2.refusal(response, 400)


def test_all_faults_are_named_at_once(api):
    asked = {"days": "x", "limit": "0", "project_id": ["1", ""], "colour": "red"}
    message = v2.refusal(ask(api, "projects/costs", **asked, bucket_type="hour"), 400)
    listed = message.partition(". ")[0].removeprefix("Bad parameters: ")
    assert set(re.findall(r"\w+", listed)) == {*asked, "bucket_type"}
    assert "`days`: A valid integer is required." in message
