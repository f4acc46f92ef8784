"""Entities and the log in the admin."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.models import Entity
from tests.adminsite import column, page, person
from tests.conftest import event


@pytest.fixture
def admin():
    return person(superuser=True)


def test_entities_show_what_they_spent(admin, api, other):
    api.send(
        event(entity_type="customer", entity_id="acme", cost_usd="0.1000000001"),
        event(entity_type="customer", entity_id="acme", cost_usd="0.2"),
        event(entity_type="team", entity_id="red", cost_usd=None, model="nobody-knows"),
        event(cost_usd="1000"),
    )
    other.send(event(entity_type="customer", entity_id="acme", cost_usd="7"))

    mine = page(admin, "/admin/events/entity/", account__id__exact=api.account.pk)
    assert column(mine, "entity_id") == ["acme", "red"]
    assert column(mine, "spend") == ["0.3000000001", "0.00"]
    assert column(mine, "events") == ["2", "1"]
    assert column(mine, "first_seen") == ["2025-01-15 12:00:00"] * 2

    of_type = page(
        admin, "/admin/events/entity/", entity_type="team", account__id__exact=api.account.pk
    )
    assert column(of_type, "entity_id") == ["red"]
    with CaptureQueriesContext(connection) as queries:
        both = page(admin, "/admin/events/entity/", q="acme")
    assert {"0.3000000001", "7.00"} <= set(column(both, "spend"))
    asked = [query["sql"] for query in queries if "FROM events_event" in query["sql"]]
    assert len(asked) == len(set(column(both, "account")))


def test_an_entity_is_renamed_and_nothing_else(admin, api):
    api.send(event(entity_type="customer", entity_id="acme"))
    entity = Entity.objects.get(account=api.account)
    change = f"/admin/events/entity/{entity.pk}/change/"
    assert "0.50" in page(admin, change)

    form = {"name": "Acme Inc.", "entity_id": "stolen", "entity_type": "team", "account": 1}
    assert admin.post(change, form).status_code == 302

    (row,) = api.read("/v1/entities")["data"]
    assert (row["entity_type"], row["entity_id"], row["name"]) == ("customer", "acme", "Acme Inc.")
    found = page(admin, "/admin/events/entity/", q="cme inc", account__id__exact=api.account.pk)
    assert column(found, "name") == ["Acme Inc."]
    assert admin.get("/admin/events/entity/add/").status_code == 403
    assert admin.post(change.replace("change", "delete"), {"post": "yes"}).status_code == 403


def log(http, **params):
    return page(http, "/admin/events/event/", **params)


def test_the_log_is_listed_by_receipt_or_for_one_account_by_time(admin, api, other):
    api.send(event(timestamp="2025-01-03T00:00:00Z", session_id="third"))
    api.send(event(timestamp="2025-01-01T00:00:00.000001Z", session_id="first"))
    other.send(
        event(timestamp="2025-01-02T00:00:00Z", session_id="second", model="unknown", cost_usd=None)
    )

    everybody = log(admin)
    assert column(everybody, "session_id")[:3] == ["second", "first", "third"]
    assert column(everybody, "price")[:3] == ["unpriced", "0.50", "0.50"]
    mine = log(admin, account__id__exact=api.account.pk)
    assert column(mine, "session_id") == ["third", "first"]
    assert column(mine, "time") == ["2025-01-03 00:00:00", "2025-01-01 00:00:00.000001"]


def test_the_log_is_paged_and_never_counted(admin, api):
    api.send(*(event(session_id=f"s{number}", id=f"{number:03}") for number in range(201)))

    with CaptureQueriesContext(connection) as queries:
        pages = [log(admin, account__id__exact=api.account.pk, p=number) for number in (1, 2, 3)]

    assert not any("COUNT(" in query["sql"] for query in queries)
    listed = [session for html in pages for session in column(html, "session_id")]
    assert listed == [f"s{number}" for number in reversed(range(201))]
    assert ["Older" in html for html in pages] == [True, True, False]
    assert ["Newer" in html for html in pages] == [False, True, True]
    for odd in ("-1", "0", "x", "9" * 30):
        log(admin, account__id__exact=api.account.pk, p=odd)


def test_an_event_is_found_by_its_id_in_each_account(admin, api, other):
    id_ = f'a/b ?c=#d%20é&"{uuid4().hex}'
    api.send(event(id=id_, session_id="mine", tags={"feature": "chat"}), event(id="x"))
    other.send(event(id=id_, session_id="other", timestamp="2024-02-29T00:00:00Z"))

    assert column(log(admin, q=id_), "session_id") == ["other", "mine"]
    assert column(log(admin, q=id_, account__id__exact=api.account.pk), "session_id") == ["mine"]
    assert column(log(admin, q=id_[:-1]), "session_id") == []

    links = re.findall(r'field-time"><a href="([^"]+)"', log(admin, q=id_))
    details = [page(admin, link) for link in links]
    assert ["other" in details[0], "mine" in details[1]] == [True, True]
    assert "{&quot;feature&quot;: &quot;chat&quot;}" in details[1]


@pytest.mark.parametrize("name", ["x", "0:x", "a:x", "9" * 5000 + ":x", "%00:%00", "1:%00"])
def test_an_event_has_no_page_under_its_id_alone(admin, api, name):
    api.send(event(id="x"))
    assert admin.get(f"/admin/events/event/{name}/change/").status_code == 302


def test_the_events_of_an_entity_are_one_click_away(admin, api):
    api.send(event(entity_type="customer", entity_id="acme", session_id="s"), event())
    entities = page(admin, "/admin/events/entity/", account__id__exact=api.account.pk)
    (link,) = re.findall(r'"(/admin/events/event/\?entity=\d+)"', entities)
    assert column(page(admin, link), "session_id") == ["s"]


def test_events_cannot_be_written(admin, api):
    api.send(event(id="x"))
    change = f"/admin/events/event/{api.account.pk}_3Ax/change/"
    assert 'type="submit" value="Save"' not in page(admin, change)
    for path in (change, change.replace("change", "delete"), "/admin/events/event/add/"):
        assert admin.post(path, {"post": "yes", "success": ""}).status_code == 403
    assert api.read("/v1/events")["data"][0]["success"] is True
