"""The second surface answers as its document shows, with the document's own values."""

import pytest
import time_machine

from events.models import Entity
from events.roller import roll_up
from tests import v2
from tests.conftest import event

AT = "/api/v2/analytics/"
COSTS = f"{AT}projects/costs"
NOW = "2024-05-15T12:00:00Z"


@pytest.fixture(autouse=True)
def now():
    """2024-05-15, noon."""
    with time_machine.travel(NOW, tick=False):
        yield


def call(project="1", at="2024-05-01T10:00:00Z", **fields):
    """A call of a project: 500 tokens, 0.00050 USD."""
    sent = {"input_tokens": 400, "output_tokens": 100, "cost_usd": "0.0005", "timestamp": at}
    return event(**{"entity_type": "project", "entity_id": project, **sent, **fields})


def test_documented_request_and_answer(api):
    """No parameters at all, and the values of the example."""
    api.send(call(), call(), call())
    Entity.objects.filter(account=api.account).update(name="Example Project")
    response = api.get(COSTS)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.content.decode() == (
        '{"success":true,"message":"Project costs data retrieved successfully",'
        '"data":{"costs":[{"project_name":"Example Project","total_tokens":1500,'
        '"total_cost":"0.00150"}]}}'
    )


def test_no_projects_are_the_documented_default(api):
    assert api.get(COSTS).json()["data"] == {"costs": []}


def test_documented_series_of_overall_tokens(api):
    """A list in a list; a day without queries is there too."""
    api.send(call(input_tokens=35820, output_tokens=12450))
    asked = {"type": "range", "start_date": "2024-05-01", "end_date": "2024-05-02"}
    first = {"prompt_tokens": 35820, "completion_tokens": 12450, "total_tokens": 48270}
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert api.get(f"{AT}tokens", **asked, time_series="true").json() == {
        "success": True,
        "message": "Overall tokens data retrieved successfully",
        "data": {
            "token_usage": [[{"date": "2024-05-01"} | first, {"date": "2024-05-02"} | nothing]]
        },
    }
    assert api.get(f"{AT}tokens", **asked).json()["data"] == {"token_usage": [[first]]}


def costs(api, **asked):
    """The costs by the names of the projects."""
    rows = v2.answer(api.get(COSTS, **asked))
    return {row["project_name"]: row["total_cost"] for row in rows}


def test_fixed_is_the_days_ago_through_today(api):
    api.send(
        call("too early", "2024-04-14T23:59:59.999999Z"),
        call("first", "2024-04-15T00:00:00Z"),
        call("a week ago", "2024-05-08T00:00:00Z"),
        call("last", "2024-05-15T23:59:59.999999Z"),
        call("too late", "2024-05-16T00:00:00Z"),
    )
    month = {"first", "a week ago", "last"}
    assert costs(api).keys() == month
    assert costs(api, type="fixed").keys() == month
    assert costs(api, type="fixed", days=30).keys() == month
    assert costs(api, days=29).keys() == {"a week ago", "last"}
    assert costs(api, days=7).keys() == {"a week ago", "last"}
    assert costs(api, days=6).keys() == {"last"}


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2024-03-01", "2024-03-31", "abc"),
        ("2024-03-01", "2024-03-30", "ab"),
        ("2024-03-01T00:00:00Z", "2024-03-31T23:00:00Z", "ab"),
        ("2024-03-01T00:00:01Z", "2024-03-31T23:00:00.000001Z", "bc"),
        ("2024-03-15T11:59:59", "2024-03-15T12:00:00.5", "b"),
        ("2024-03-15T14:00:00+02:00", "2024-03-31", "bc"),
        ("2024-03-15", "2024-03-15T12:00:00Z", ""),
        ("2024-03-15", "2024-03-15", "b"),
    ],
)
def test_range_includes_its_last_day_but_not_its_last_instant(api, start, end, found):
    api.send(
        call("a", "2024-03-01T00:00:00Z"),
        call("b", "2024-03-15T12:00:00Z"),
        call("c", "2024-03-31T23:00:00Z"),
    )
    asked = {"type": "range", "start_date": start, "end_date": end}
    assert costs(api, **asked).keys() == set(found)
    while roll_up():
        pass
    assert costs(api, **asked).keys() == set(found)


def test_parameters_of_the_other_type_are_ignored(api):
    api.send(call("now"), call("then", "2024-03-15T12:00:00Z"))
    march = {"start_date": "2024-03-01", "end_date": "2024-03-31"}
    assert costs(api, **march).keys() == {"now"}
    assert costs(api, type="fixed", start_date="", end_date="never").keys() == {"now"}
    assert costs(api, type="range", **march, days=1).keys() == {"then"}
    assert costs(api, type="range", **march, days="many").keys() == {"then"}


def test_ids_may_be_repeated_and_are_of_their_type(api):
    api.send(*map(call, ("1", "2", "3")), call("1", entity_type="team", cost_usd="9"))
    assert costs(api, project_id="1") == {"1": "0.00050"}
    assert costs(api, project_id=["1", "3", "1", "4"]) == {"1": "0.00050", "3": "0.00050"}
    assert costs(api, project_id="nobody") == {}


def test_user_and_employee_of_one_id_are_two_rows(api):
    api.send(
        call("ada", entity_type="user", cost_usd="1"),
        call("ada", entity_type="employee", cost_usd="2"),
    )
    Entity.objects.filter(account=api.account, entity_type="user").update(name="Ada L.")
    assert v2.answer(api.get(f"{AT}users/costs")) == [
        {"user_name": "ada", "total_tokens": 500, "total_cost": "2.00000"},
        {"user_name": "Ada L.", "total_tokens": 500, "total_cost": "1.00000"},
    ]


@pytest.mark.parametrize(
    ("cost", "written"),
    [
        ("0", "0.00000"),
        ("450", "450.00000"),
        ("0.1", "0.10000"),
        ("0.000001", "0.000001"),
        ("0.0000000001", "0.0000000001"),
        ("999999999.9999999999", "999999999.9999999999"),
        ("100", "100.00000"),
        (None, "0.00000"),
    ],
)
def test_money_is_a_string_of_five_places_or_more(api, cost, written):
    api.send(call(cost_usd=cost, model="nobody-knows"))
    assert costs(api) == {"1": written}


@pytest.fixture
def spread(api):
    """Three projects over two weeks and two months, each the first in something."""
    api.send(
        call("dear", "2024-04-29T10:00:00Z", cost_usd="3", input_tokens=1, output_tokens=1),
        call("wordy", "2024-04-29T10:00:00Z", cost_usd="1", input_tokens=900, output_tokens=1),
        *(call("busy", "2024-04-29T10:00:00Z", cost_usd="0.1", input_tokens=2) for _ in range(3)),
        call("dear", "2024-05-01T10:00:00Z", cost_usd="2", input_tokens=1, output_tokens=1),
        call("busy", "2024-05-06T10:00:00Z", cost_usd="0.1", input_tokens=2),
        call(None, "2024-05-06T11:00:00Z", entity_type=None, cost_usd=None, model="unknown"),
    )
    return api


def table(api, path, **asked):
    """Only the values, row by row."""
    return [tuple(row.values()) for row in v2.answer(api.get(f"{AT}{path}", **asked))]


def test_each_table_has_its_order(spread):
    assert table(spread, "projects/costs") == [
        ("dear", 4, "5.00000"),
        ("wordy", 901, "1.00000"),
        ("busy", 408, "0.40000"),
    ]
    assert table(spread, "projects/tokens") == [
        ("wordy", 900, 1, 901),
        ("busy", 8, 400, 408),
        ("dear", 2, 2, 4),
    ]
    assert table(spread, "projects/query-counts") == [("busy", 4), ("dear", 2), ("wordy", 1)]
    assert table(spread, "projects/most-active", limit=2) == [
        ("busy", 4, 408, "0.40000"),
        ("dear", 2, 4, "5.00000"),
    ]
    assert table(spread, "projects/recent") == [
        ("busy", "2024-05-06T10:00:00Z"),
        ("dear", "2024-05-01T10:00:00Z"),
        ("wordy", "2024-04-29T10:00:00Z"),
    ]
    assert table(spread, "projects/recent", limit=1) == [("busy", "2024-05-06T10:00:00Z")]


@pytest.mark.parametrize("rolled_up", [False, True])
def test_series_has_the_first_of_each_bucket(spread, rolled_up):
    while rolled_up and roll_up():
        pass
    assert table(spread, "projects/costs", time_series="true", limit=1) == [
        ("2024-04-29", "dear", 2, "3.00000"),
        ("2024-05-01", "dear", 2, "2.00000"),
        ("2024-05-06", "busy", 102, "0.10000"),
    ]
    assert table(spread, "projects/tokens", time_series="1", limit=2, bucket_type="week") == [
        ("2024-04-29", "wordy", 900, 1, 901),
        ("2024-04-29", "busy", 6, 300, 306),
        ("2024-05-06", "busy", 2, 100, 102),
    ]
    asked = {"time_series": "true", "bucket_type": "month"}
    assert table(spread, "projects/query-counts", **asked) == [
        ("2024-04-01", "busy", 3),
        ("2024-04-01", "dear", 1),
        ("2024-04-01", "wordy", 1),
        ("2024-05-01", "busy", 1),
        ("2024-05-01", "dear", 1),
    ]
    assert table(spread, "query-counts", **asked) == [("2024-04-01", 5), ("2024-05-01", 3)]
    assert table(spread, "costs", **asked, days=1) == [("2024-05-01", 0, "0.00000")]


def test_bucket_type_alone_makes_no_series(spread):
    assert table(spread, "costs", bucket_type="month") == [(1813, "6.40000")]


@pytest.mark.parametrize("rolled_up", [False, True])
def test_summary(spread, rolled_up):
    """Of the seven days through the 6th, against the seven days before."""
    while rolled_up and roll_up():
        pass
    asked = {"type": "range", "start_date": "2024-05-01", "end_date": "2024-05-07T00:00:00Z"}
    assert v2.answer(spread.get(f"{AT}summary", **asked)) == {
        "query_count": 3,
        "prompt_tokens": 403,
        "completion_tokens": 201,
        "total_tokens": 604,
        "total_cost": "2.10000",
        "unpriced_events": 1,
        "avg_tokens_per_query": "201.3",
        "avg_cost_per_query": "1.05000",
        "active_entities": 2,
        "first_activity": "2024-05-01T10:00:00Z",
        "last_activity": "2024-05-06T11:00:00Z",
        "changes": {
            "queries_change": -2,
            "queries_change_percent": "-40.0",
            "tokens_change": -605,
            "tokens_change_percent": "-50.0",
            "cost_change": "-2.20000",
            "cost_change_percent": "-51.2",
        },
    }
    asked["project_id"] = ["busy", "wordy"]
    assert v2.answer(spread.get(f"{AT}projects/summary", **asked)) == {
        "query_count": 1,
        "prompt_tokens": 2,
        "completion_tokens": 100,
        "total_tokens": 102,
        "total_cost": "0.10000",
        "unpriced_events": 0,
        "avg_tokens_per_query": "102.0",
        "avg_cost_per_query": "0.10000",
        "active_projects": 1,
        "first_activity": "2024-05-06T10:00:00Z",
        "last_activity": "2024-05-06T10:00:00Z",
        "changes": {
            "queries_change": -3,
            "queries_change_percent": "-75.0",
            "tokens_change": -1105,
            "tokens_change_percent": "-91.5",
            "cost_change": "-1.20000",
            "cost_change_percent": "-92.3",
        },
    }


def test_activity_of_a_summary_lies_in_its_period(api):
    """Also where the period begins or ends within a day that has more."""
    api.send(*(call(at=f"2024-05-01T{hour}:30:00Z") for hour in ("08", "10", "12", "14")))
    asked = {"start_date": "2024-05-01T09:00:00", "end_date": "2024-05-01T14:30:00"}
    found = v2.answer(api.get(f"{AT}projects/summary", type="range", **asked))
    assert found["query_count"] == 2
    assert found["first_activity"] == "2024-05-01T10:30:00Z"
    assert found["last_activity"] == "2024-05-01T12:30:00Z"


def test_summary_of_nothing(api):
    assert v2.answer(api.get(f"{AT}users/summary")) == {
        "query_count": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
        "total_cost": "0.00000",
        "unpriced_events": 0,
        "avg_tokens_per_query": None,
        "avg_cost_per_query": None,
        "active_users": 0,
        "first_activity": None,
        "last_activity": None,
        "changes": {
            "queries_change": 0,
            "queries_change_percent": None,
            "tokens_change": 0,
            "tokens_change_percent": None,
            "cost_change": "0.00000",
            "cost_change_percent": None,
        },
    }


def test_average_cost_is_rounded_half_up_to_ten_places(api):
    api.send(call(cost_usd="0.00000001"), call(cost_usd="0"), call(cost_usd="0"))
    asked = v2.answer(api.get(f"{AT}projects/summary"))
    assert asked["avg_cost_per_query"] == "0.0000000033"
    api.send(call(cost_usd="0"))
    api.send(call(cost_usd="0.0000000002"), *(call(cost_usd="0") for _ in range(3)))
    assert v2.answer(api.get(f"{AT}projects/summary"))["avg_cost_per_query"] == "0.0000000013"


def test_recent_is_who_was_last_active_in_the_period(api):
    """Not who was active in it and later too."""
    api.send(
        call("gone", "2024-03-10T10:00:00Z"),
        call("still here", "2024-03-20T10:00:00Z"),
        call("still here", "2024-05-01T10:00:00Z"),
    )
    march = {"type": "range", "start_date": "2024-03-01", "end_date": "2024-03-31"}
    assert table(api, "projects/recent", **march) == [("gone", "2024-03-10T10:00:00Z")]
    while roll_up():
        pass
    api.send(call("gone", "2024-05-02T10:00:00Z"))  # in the tail
    assert table(api, "projects/recent", **march) == []
    assert table(api, "projects/recent") == [
        ("gone", "2024-05-02T10:00:00Z"),
        ("still here", "2024-05-01T10:00:00Z"),
    ]


def test_entity_counts_are_of_all_times(api):
    kinds = ("agent", "project", "project", "team", "user", "employee", "customer")
    api.send(*(call(str(n), "2016-01-01T00:00:00Z", entity_type=k) for n, k in enumerate(kinds)))
    assert api.get(f"{AT}entity-counts").json() == {
        "success": True,
        "message": "Overall entity counts data retrieved successfully",
        "data": {"entity_counts": {"agents": 1, "projects": 2, "teams": 1, "users": 2}},
    }


@pytest.mark.parametrize("path", v2.TITLES.values())
def test_trailing_slash_is_accepted(spread, path):
    plain, slashed = spread.get(f"{AT}{path}"), spread.get(f"{AT}{path}/")
    assert slashed.status_code == plain.status_code
    assert slashed.content == plain.content
    assert spread.get(f"{AT}{path}//").status_code == 404


@pytest.mark.parametrize("path", v2.UNANSWERED)
def test_what_a_cost_meter_does_not_know_is_a_501_that_says_so(api, path, caplog):
    message = v2.refusal(api.get(f"{AT}{path}", type="fixed"), 501)
    assert message.startswith("Costprism meters calls: ")
    assert not caplog.records  # no fault of ours


def test_errors_keep_the_envelope(api, monkeypatch):
    assert "`read`" in v2.refusal(v2.ingester(api).get(COSTS), 403)
    assert v2.refusal(api.post(COSTS, {}), 405) == 'Method "POST" not allowed.'
    assert v2.refusal(api.get("/api/v2/nothing"), 404) == "There is nothing at this address."
    assert v2.refusal(api.http.get(COSTS), 401)

    def fail(query):
        raise RuntimeError("broken")

    monkeypatch.setattr("analytics.v2.answers.groups", fail)
    assert "broken" not in v2.refusal(api.get(COSTS), 500)
