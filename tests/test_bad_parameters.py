"""Every bad parameter, address and method gets its status and a body that names it."""

from itertools import product

import pytest

from tests.problems import parameters, problem

JANUARY = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
BOTH = {
    "period1_start": "2025-01-16",
    "period1_end": "2025-01-31",
    "period2_start": "2025-01-01",
    "period2_end": "2025-01-15",
}
ANALYTICS = {
    "/v1/analytics/costs": JANUARY,
    "/v1/analytics/costs/timeseries": JANUARY,
    "/v1/analytics/models": JANUARY,
    "/v1/analytics/entities/top": JANUARY,
    "/v1/analytics/sessions": JANUARY,
    "/v1/analytics/anomalies": JANUARY,
    "/v1/analytics/compare": BOTH,
}
LISTS: dict[str, dict[str, str]] = {"/v1/events": {}, "/v1/entities": {}}
PLAIN: dict[str, dict[str, str]] = {"/v1/me": {}, "/v1/events/one": {}}
PERIODS = [path for path in ANALYTICS if not path.endswith("compare")]
FILTERED = [path for path in ANALYTICS if not path.endswith("anomalies")]
DATES = [(path, name) for path, asked in ANALYTICS.items() for name in asked]


@pytest.mark.parametrize(("path", "asked"), (ANALYTICS | LISTS | PLAIN).items())
def test_unknown_parameters_are_named(api, path, asked):
    response = api.get(path, **asked, colour="red", **{"start-date": "2025-01-01"})
    assert parameters(response) == {"colour", "start-date"}


@pytest.mark.parametrize(("path", "asked"), ANALYTICS.items())
def test_missing_dates_are_named(api, path, asked):
    assert parameters(api.get(path)) == set(asked)
    first, *others = asked
    assert parameters(api.get(path, **{first: asked[first]})) == set(others)


ARABIC = "٢٠٢٥-٠١-٠١"  # noqa: RUF001 - digits to Python, but not to RFC 3339
BAD_DATES = [
    *("", "2025-1-1", "20250101", "2025-02-30", "2025-13-01", "2025-00-01", "01/02/2025", "today"),
    *("1999-12-31", "2101-01-01", "0000-01-01", "12025-01-01", "2025-01-01T00:00:00Z"),
    *(" 2025-01-01", "2025-01-01\n", ARABIC, "2025-W01-1", "2025-001", "-2025-01-01"),
]


@pytest.mark.parametrize("day", BAD_DATES)
def test_bad_dates_are_named(api, day):
    for path, name in DATES:
        assert parameters(api.get(path, **ANALYTICS[path] | {name: day})) == {name}, path


@pytest.mark.parametrize(
    "day",
    [day for day in BAD_DATES if day != "2025-01-01T00:00:00Z"]
    + ["2025-01-01T00:00:00", "2025-01-01T25:00:00Z", "2025-01-01T00:00:00+99:00"]
    + ["1999-12-31T00:00:00Z", "T"],
)
def test_bad_moments_of_the_event_list_are_named(api, day):
    assert parameters(api.get("/v1/events", start_date=day, end_date=day)) == {
        "start_date",
        "end_date",
    }


@pytest.mark.parametrize("path", PERIODS)
def test_start_after_end_is_named(api, path):
    backwards = {"start_date": "2025-02-01", "end_date": "2025-01-31"}
    assert parameters(api.get(path, **backwards)) & {"start_date", "end_date"}


@pytest.mark.parametrize("period", ["period1", "period2"])
def test_start_after_end_is_named_by_period(api, period):
    backwards = {f"{period}_start": "2025-02-01"}
    named = parameters(api.get("/v1/analytics/compare", **BOTH | backwards))
    assert named
    assert named <= {f"{period}_start", f"{period}_end"}


BAD_VALUES = [
    *(("/v1/analytics/costs", "group_by", value) for value in ("", "colour", "Entity", "tags")),
    *(("/v1/analytics/costs", "group_by", value) for value in ("tags.", "entity,", "entity,x")),
    *(("/v1/analytics/costs", "group_by", value) for value in ("day,week", "hour,model,month")),
    *(("/v1/analytics/costs", "limit", value) for value in ("0", "-1", "ten", "1.5", "", "1e2")),
    *(("/v1/analytics/costs", "offset", value) for value in ("-1", "x", "")),
    *(("/v1/analytics/costs/timeseries", "interval", value) for value in ("minute", "", "Day")),
    *(("/v1/analytics/entities/top", "order", value) for value in ("up", "", "DESC")),
    *(("/v1/analytics/entities/top", "limit", value) for value in ("0", "101", "-1", "x")),
    *(("/v1/analytics/sessions", "limit", value) for value in ("0", "1001", "x")),
    *(("/v1/analytics/sessions", "offset", value) for value in ("-1", "x")),
    *(("/v1/analytics/anomalies", "status", value) for value in ("open", "", "Active")),
    *(("/v1/analytics/anomalies", "type", value) for value in ("spike", "")),
    *((path, "limit", value) for path in LISTS for value in ("0", "1001", "-1", "x")),
    *((path, "offset", value) for path in LISTS for value in ("-1", "x")),
    *(("/v1/events", "success", value) for value in ("maybe", "")),
    *(("/v1/analytics/compare", "explain", value) for value in ("maybe", "")),
    *((path, "format", value) for path in ANALYTICS | LISTS for value in ("xml", "", "CSV")),
    *((path, "timezone", value) for path in ANALYTICS for value in ("Mars/Base", "+02:00", "")),
    *(("/v1/analytics/costs", "timezone", value) for value in ("europe/berlin", "../UTC", "/UTC")),
    *(("/v1/events", "timezone", value) for value in ("Mars/Base", "+02:00")),
    *((path, "tags", "feature") for path in [*FILTERED, "/v1/events"]),
    *(("/v1/analytics/costs", "tags", value) for value in ("", ":x", "a:b,", ",a:b", "a:b,,c:d")),
    *(("/v1/analytics/costs", "tags", value) for value in ("a:b\\", "a\\x:b", "a:b,c", "a\\:b")),
    *(("/v1/analytics/costs", name, "\0") for name in ("entity_type", "model", "provider")),
    *(("/v1/analytics/costs", name, value) for name in ("tags", "group_by") for value in ("\0",)),
    ("/v1/analytics/costs", "tags", "a:\0"),
    ("/v1/analytics/costs", "group_by", "tags.\0"),
    *(("/v1/events", name, "\0") for name in ("entity_id", "model", "provider", "session_id")),
    ("/v1/events", "tags", "a:\0"),
    ("/v1/entities", "type", "\0"),
]


@pytest.mark.parametrize(("path", "name", "value"), BAD_VALUES)
def test_bad_value_is_named(api, path, name, value):
    asked = (ANALYTICS | LISTS)[path]
    assert parameters(api.get(path, **asked | {name: value})) == {name}


@pytest.mark.parametrize("path", [*PERIODS, "/v1/analytics/compare"])
def test_parameters_of_other_endpoints_are_unknown(api, path):
    known = {
        "/v1/analytics/costs": {"group_by", "limit", "offset"},
        "/v1/analytics/costs/timeseries": {"interval"},
        "/v1/analytics/entities/top": {"limit", "order"},
        "/v1/analytics/sessions": {"limit", "offset"},
        "/v1/analytics/anomalies": {"status", "type"},
    }.get(path, set())
    special = {
        "group_by": "entity",
        "interval": "day",
        "limit": "1",
        "offset": "0",
        "order": "asc",
        "status": "active",
        "type": "cost_spike",
    }
    others = {name: value for name, value in special.items() if name not in known}
    response = api.get(path, **ANALYTICS[path], **others)
    assert parameters(response) == set(others)


def test_hours_are_answered_for_92_days_and_no_more(api):
    asked = {"start_date": "2025-01-01", "interval": "hour"}
    path = "/v1/analytics/costs/timeseries"
    hours = api.read(path, **asked, end_date="2025-04-02")["data"]
    assert len(hours) == 92 * 24
    named = parameters(api.get(path, **asked, end_date="2025-04-03"))
    assert named & {"interval", "start_date", "end_date"}


SEVERAL = [
    (
        "/v1/analytics/costs",
        {"start_date": "x", "group_by": "y", "limit": "0", "offset": "-1", "timezone": "Q"}
        | {"tags": "a", "format": "xml", "colour": "red"},
        {"end_date"},
    ),
    (
        "/v1/analytics/costs/timeseries",
        {"start_date": "2025-02-30", "end_date": "1999-01-01", "interval": "minute", "limit": "1"},
        set(),
    ),
    ("/v1/analytics/compare", {"period1_start": "x", "tags": "\\", "timezone": ""}, {*BOTH}),
    (
        "/v1/analytics/anomalies",
        {"status": "x", "type": "y", "tags": "a:b", "model": "m"},
        {*JANUARY},
    ),
    ("/v1/events", {"start_date": "x", "success": "?", "limit": "0", "type": "customer"}, set()),
    ("/v1/entities", {"entity_type": "customer", "limit": "x", "offset": "x"}, set()),
]


@pytest.mark.parametrize(("path", "asked", "missing"), SEVERAL)
def test_several_faults_are_all_named_at_once(api, path, asked, missing):
    assert parameters(api.get(path, **asked)) == {*asked, *missing}


def test_faults_between_parameters_are_named_beside_the_others(api):
    backwards = {"start_date": "2025-02-01", "end_date": "2025-01-01"}
    named = parameters(api.get("/v1/analytics/costs", **backwards, limit="0", colour="red"))
    assert named >= {"limit", "colour"}
    assert named & set(backwards)


@pytest.mark.parametrize(("path", "asked"), (ANALYTICS | LISTS).items())
def test_errors_stay_json_when_csv_is_asked_for(api, path, asked):
    assert parameters(api.get(path, **asked, format="csv", colour="red")) == {"colour"}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/nothing", "/v1/me/", "/v1/analytics"])
def test_unknown_address_is_a_problem(api, path):
    problem(api.get(path), 404)
    problem(api.http.get(path), 404)
    problem(api.get(path, format="csv"), 404)
    problem(api.post(path, {}), 404)


REFUSED_METHODS = [
    (method, path)
    for method, path in product(["PUT", "PATCH", "DELETE", "POST"], [*ANALYTICS, *LISTS, *PLAIN])
    if (method, path) != ("POST", "/v1/events")
]


@pytest.mark.parametrize(("method", "path"), REFUSED_METHODS)
def test_other_methods_are_a_problem_that_lists_those_allowed(api, method, path):
    headers = {"Authorization": f"Bearer {api.key}"}
    response = api.http.generic(method, path, b"{}", "application/json", headers=headers)
    problem(response, 405)
    assert "GET" in response["Allow"].split(", ")


@pytest.mark.parametrize("id", ["none", "a/b", "%00", "x" * 201, "😀", "%FF"])
def test_unknown_event_is_a_problem(api, id):
    problem(api.http.get(f"/v1/events/{id}", headers={"Authorization": f"Bearer {api.key}"}), 404)


def test_request_id_of_the_caller_comes_back(api):
    headers = {"Authorization": f"Bearer {api.key}", "X-Request-ID": "caller-1.2_3"}
    response = api.http.get("/v1/events/none", headers=headers)
    assert problem(response, 404)["request_id"] == "caller-1.2_3"
