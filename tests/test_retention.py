"""Retention drops months of events; what was rolled up of them stays, and is not counted twice."""

from datetime import UTC, date, datetime

import pytest
from django.core.management import call_command
from django.db import connection

from events import ledger, partitions, retention
from events.models import LogStart
from tests import v2
from tests.conftest import event, new_api

# A time of its own: partitions are shared by all accounts, and other tests use later years.
OLD = {"start_date": "2016-01-01", "end_date": "2016-12-31"}
NOW = datetime(2016, 12, 1, tzinfo=UTC)


@pytest.fixture
def kept_30_days():
    api = new_api(retention_days=30)
    for month in ("2016-03", "2016-04"):
        api.send(
            event(id=month, timestamp=f"{month}-15T12:00:00Z", session_id="s", entity_type="team",
                  entity_id="a", tags={"k": "v"})
        )  # fmt: skip
    yield api
    LogStart.objects.all().delete()


def months():
    return [month.isoformat()[:7] for month in partitions.existing()]


def test_totals_survive_and_single_events_are_refused(kept_30_days):
    api = kept_30_days
    before = {
        path: api.read(f"/v1/analytics/{path}", **OLD) for path in ("costs", "sessions", "models")
    }
    spent = api.read("/v1/entities")

    dropped = retention.apply(NOW)

    assert [month.isoformat() for month in dropped] == ["2016-03-01", "2016-04-01"]
    assert {path: api.read(f"/v1/analytics/{path}", **OLD) for path in before} == before
    assert api.read("/v1/entities") == spent
    assert api.read("/v1/events")["data"] == []
    refused = api.get("/v1/analytics/costs", **OLD, model="gpt-4o", tags="k:v")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["parameter"] == "start_date"
    assert refused.json()["errors"][0]["code"] == "beyond_retention"


def test_summary_of_the_second_surface_survives_but_not_its_instants(kept_30_days):
    api, asked = kept_30_days, {"type": "range", **OLD}
    before = v2.answer(api.get("/api/v2/analytics/teams/summary", **asked))
    assert before["first_activity"] == "2016-03-15T12:00:00Z"
    assert before["last_activity"] == "2016-04-15T12:00:00Z"

    retention.apply(NOW)

    gone = {"first_activity": None, "last_activity": None}
    assert v2.answer(api.get("/api/v2/analytics/teams/summary", **asked)) == before | gone
    recent = v2.answer(api.get("/api/v2/analytics/teams/recent", **asked))
    assert recent == [{"team_name": "a", "last_activity": "2016-04-15T12:00:00Z"}]


def test_the_period_before_one_that_is_kept_may_be_gone(kept_30_days):
    api = kept_30_days
    api.send(event(timestamp="2016-05-02T12:00:00Z", entity_type="team", entity_id="a"))
    asked = {"type": "range", "start_date": "2016-05-02T00:07:00Z", "end_date": "2016-05-05"}
    retention.apply(datetime(2016, 5, 31, tzinfo=UTC))
    answer = v2.answer(api.get("/api/v2/analytics/teams/summary", **asked))
    assert (answer["query_count"], answer["changes"]) == (1, None)


def test_a_rebuild_that_comes_too_late_leaves_the_rollups_of_a_dropped_day(kept_30_days):
    before = kept_30_days.read("/v1/analytics/costs", **OLD, group_by="entity")
    retention.apply(NOW)
    ledger.rebuild_day(date(2016, 3, 15), None)
    assert kept_30_days.read("/v1/analytics/costs", **OLD, group_by="entity") == before


def test_a_dropped_event_is_still_a_duplicate_and_a_late_one_still_counts(kept_30_days):
    api = kept_30_days
    retention.apply(NOW)
    again = event(id="2016-03", timestamp="2016-03-15T12:00:00Z", session_id="s",
                  entity_type="team", entity_id="a", tags={"k": "v"})  # fmt: skip
    assert api.post("/v1/events", again).json()["status"] == "duplicate"
    api.send(event(timestamp="2016-03-16T12:00:00Z"))
    assert api.read("/v1/analytics/costs", **OLD)["summary"]["total_events"] == 3


def test_one_account_that_keeps_its_events_keeps_the_month(kept_30_days, other):
    other.send(event(timestamp="2016-04-01T00:00:00Z"))
    assert [month.isoformat() for month in retention.apply(NOW)] == ["2016-03-01"]
    assert "2016-04" in months()
    with connection.cursor() as cursor:  # leave nothing behind for the other tests
        cursor.execute("DELETE FROM events_event WHERE account_id = %s", [other.account.pk])


def test_a_dry_run_only_says_what_would_be_done(kept_30_days, capsys):
    call_command("apply_retention", dry_run=True)
    assert "2016-03: would be dropped" in capsys.readouterr().out
    assert "2016-03" in months()


def test_verify_and_rebuild_go_back_to_where_the_log_begins(kept_30_days):
    api = kept_30_days
    api.send(event(timestamp="2016-05-02T12:00:00Z", session_id="s"))
    retention.apply(datetime(2016, 5, 25, tzinfo=UTC))
    before = api.read("/v1/analytics/sessions", **OLD)
    call_command("rebuild_rollups", account=api.account.name)
    call_command("verify_rollups", account=api.account.name)
    assert api.read("/v1/analytics/sessions", **OLD) == before
    assert api.read("/v1/analytics/costs", **OLD)["summary"]["total_events"] == 3
