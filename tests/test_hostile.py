"""What a hostile reader of the contract would send. Nothing of it may be a 500 or cost others."""

import json
from urllib.parse import quote

import pytest
from django.db import connection

from tests.conftest import event

PLAIN = json.dumps(event()).encode()


@pytest.mark.parametrize(
    "bad",
    [
        b'{"\\ud800": 1}',
        PLAIN[:-1] + b', "id": "\\ud800"}',
        PLAIN[:-1] + b', "session_id": "\\udfff"}',
        PLAIN[:-1] + b', "tags": {"\\ud800": "a"}}',
    ],
)
def test_a_lone_surrogate_costs_one_event_and_not_its_batch(api, bad):
    assert api.post("/v1/events", bad).status_code == 422
    batch = b'{"events": [' + PLAIN + b", " + bad + b"]}"
    answer = api.post("/v1/events", batch).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    refused = api.post("/v1/events?atomic=true", batch)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"].startswith("/events/1")


@pytest.mark.parametrize("field", ["cost_usd", "input_tokens", "latency_ms", "total_tokens"])
@pytest.mark.parametrize("number", [b"1e9999999999999999999", b"1e-9999999999999999999", b"1e400"])
def test_an_exponent_beyond_all_bounds_names_its_field(api, field, number):
    body = PLAIN[:-1] + b', "' + field.encode() + b'": ' + number + b"}"
    answer = api.post("/v1/events", body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/{field}"]


@pytest.mark.parametrize(
    ("number", "stored"), [(b"1e2", "100"), (b"1e-7", "0.0000001"), (b"1.50", "1.50"), (b"3", "3")]
)
def test_a_number_in_a_tag_is_written_out(api, number, stored):
    api.post("/v1/events", PLAIN[:-1] + b', "tags": {"n": ' + number + b"}}")
    assert api.read("/v1/events")["data"][0]["tags"] == {"n": stored}


@pytest.mark.parametrize("number", [b"1e9999999999999999999", b"1e501", b"-1e501", b"1e-501"])
def test_a_number_that_is_too_long_for_a_tag_is_refused(api, number):
    answer = api.post("/v1/events", PLAIN[:-1] + b', "tags": {"n": ' + number + b"}}")
    assert answer.json()["errors"][0]["pointer"] == "/tags/n"


def test_a_whole_number_may_be_written_with_a_point(api):
    api.send(event(input_tokens=100.0, latency_ms=5.0))
    row = api.read("/v1/events")["data"][0]
    assert (row["input_tokens"], row["latency_ms"]) == (100, 5)


def test_a_byte_order_mark_is_no_part_of_the_first_event(api):
    lines = b"\xef\xbb\xbf" + PLAIN + b"\n" + PLAIN
    answer = api.post("/v1/events", lines, content_type="application/x-ndjson")
    assert answer.json()["accepted"] == 2


@pytest.mark.parametrize("id_", ["a\nb", "\r\n", "a/b", "../c", "ü %2F", " "])
def test_an_event_is_found_by_any_id(api, id_):
    api.send(event(id=id_))
    assert api.read(f"/v1/events/{quote(id_, safe='')}")["id"] == id_


@pytest.mark.parametrize(
    "params",
    [
        {"start_date": "2026-W01-1T00:00:00Z"},
        {"start_date": "20261101T000000Z"},
        {"start_date": "2026-01-01T00:00:00"},
        {"end_date": "2026-01-01T00:00:00+00:99"},
        {"start_date": "2025-02-01", "end_date": "2025-01-31"},
        {"start_date": "2025-02-01T00:00:01Z", "end_date": "2025-02-01T00:00:00Z"},
        {"limit": "+5"},
        {"limit": " 5"},
        {"limit": "1_0"},
        {"limit": "\u0661\u0660"},
        {"offset": "1.0"},
        {"timezone": "localtime"},
        {"timezone": "Factory"},
        {"timezone": "../etc/passwd"},
    ],
)
def test_the_list_refuses_what_is_nearly_right(api, params):
    refused = api.get("/v1/events", **params)
    assert refused.status_code == 400
    assert {fault["parameter"] for fault in refused.json()["errors"]} <= set(params)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"start_date": "2025-01-15T23:59:00+23:59"}, 1),
        ({"end_date": "2025-01-15T12:00:00Z"}, 0),
        ({"end_date": "2025-01-15T12:00:00.000001-00:00"}, 1),
        ({"start_date": "2025-01-15", "end_date": "2025-01-15"}, 1),
        ({"start_date": "2025-01-15T12:00:00Z", "end_date": "2025-01-15T12:00:00Z"}, 0),
    ],
)
def test_the_list_takes_instants_with_any_offset(api, params, found):
    api.send(event())
    assert api.read("/v1/events", **params)["pagination"]["total"] == found


@pytest.mark.parametrize("group_by", ["tags.a\\", r"tags.a\b", "tags.", "day,hour", "", "entity,"])
def test_a_grouping_that_is_malformed_is_refused(api, group_by):
    period = {"start_date": "2025-01-01", "end_date": "2025-01-31"}
    refused = api.get("/v1/analytics/costs", **period, group_by=group_by)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["parameter"] == "group_by"


def test_a_huge_percentage_is_written_out(api):
    api.send(
        event(cost_usd="999999999.9999999999", timestamp="2025-02-01T00:00:00Z"),
        event(cost_usd="0.0000000001"),
    )
    text = api.get(
        "/v1/analytics/compare",
        period1_start="2025-02-01",
        period1_end="2025-02-01",
        period2_start="2025-01-01",
        period2_end="2025-01-31",
    ).content.decode()
    assert '"cost_change_percent":999999999999999999800.0,' in text


def test_unknown_parameters_are_refused_everywhere(api):
    for path in ("/v1/me", "/v1/entities", "/v1/events", "/v1/events/x", "/v1/analytics/models"):
        assert "surprise" in api.get(path, surprise="1").content.decode()


def test_a_late_event_after_another_process_dropped_its_month(api):
    api.send(event(timestamp="2017-03-01T00:00:00Z"))  # this process remembers the partition
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE events_event_2017_03")
    api.send(event(timestamp="2017-03-02T00:00:00Z"))
    assert api.read("/v1/events")["data"][0]["timestamp"] == "2017-03-02T00:00:00Z"


def test_a_database_that_fails_during_copy_is_a_503_and_stores_nothing(api):
    api.send(event(timestamp="2017-05-01T00:00:00Z"))
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END $$;"
            " CREATE TRIGGER leave BEFORE INSERT ON events_event_2017_05"
            " FOR EACH ROW EXECUTE FUNCTION leave()"
        )
    try:
        answer = api.post("/v1/events", event(id="x", timestamp="2017-05-01T00:00:00Z"))
    finally:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION leave CASCADE")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert api.get("/v1/events/x").status_code == 404
    assert api.post("/v1/events", event(id="x")).status_code == 201


@pytest.mark.parametrize(
    "path", ["costs", "costs/timeseries", "models", "entities/top", "sessions"]
)
def test_a_day_that_a_zone_skipped_is_empty(api, path):
    skipped = {"start_date": "2011-12-30", "end_date": "2011-12-30", "timezone": "Pacific/Apia"}
    rows = api.read(f"/v1/analytics/{path}", **skipped)["data"]
    assert all(row["total_events"] == 0 for row in rows)
    assert api.read("/v1/analytics/costs", **skipped, group_by="hour,entity")["data"] == []
