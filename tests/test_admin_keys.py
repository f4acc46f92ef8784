"""Keys in the admin: made, shown once, kept nowhere, revoked for good."""

import re
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone

from apikeys.models import APIKey
from tests.adminsite import column, new_key, page, person, revoke
from tests.conftest import Api

KEY = re.compile(r"ip-[0-9A-Za-z]{38}")


@pytest.fixture
def admin():
    return person(superuser=True)


def tables_with(text):
    """The tables of the database in which `text` occurs anywhere."""
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        for name in names:
            cursor.execute(f'SELECT 1 FROM "{name}" AS row WHERE row::text LIKE %s', [f"%{text}%"])
            if cursor.fetchone():
                yield name


def test_a_key_is_shown_once_and_kept_nowhere(admin, api, caplog):
    response = new_key(admin, api.account)

    (key,) = set(KEY.findall(response.content.decode()))
    assert "no-store" in response.headers["Cache-Control"]
    assert key not in str(response.headers) + str(response.cookies) + caplog.text
    assert Api(api.account, key).get("/v1/me").status_code == 200
    row = APIKey.objects.get(prefix=key[:11])
    assert (row.name, row.scopes, row.expires_at) == ("app", ["ingest", "read"], None)

    assert list(tables_with(key)) == []
    assert list(tables_with(key[:11])) == ["apikeys_apikey", "django_admin_log"]
    assert key not in str(dict(admin.session)) + str(admin.cookies)
    change = f"/admin/apikeys/apikey/{row.pk}/change/"
    later = ["/admin/", "/admin/apikeys/apikey/", change, change.replace("change", "history")]
    for path in later:
        assert KEY.findall(page(admin, path)) == []
    assert f"{key[:11]}…" in page(admin, change)


def test_sending_the_form_again_makes_no_second_key(api):
    browser = person(superuser=True, enforce_csrf_checks=True)
    html = page(browser, "/admin/apikeys/apikey/add/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)[1]

    first = new_key(browser, api.account, csrfmiddlewaretoken=token)
    again = new_key(browser, api.account, csrfmiddlewaretoken=token)

    assert (first.status_code, again.status_code) == (200, 403)
    assert APIKey.objects.filter(account=api.account, name="app").count() == 1


def test_a_key_may_expire(admin, api):
    response = new_key(admin, api.account, expires_at_0="2090-01-31", expires_at_1="12:30:00")
    assert "expires on Jan. 31, 2090" in response.content.decode()
    row = APIKey.objects.get(account=api.account, name="app")
    assert row.expires_at.isoformat() == "2090-01-31T12:30:00+00:00"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"scopes": []}, "This field is required."),
        ({"scopes": ["root"]}, "Select a valid choice."),
        ({"account": 0}, "Select a valid choice."),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "This is in the past"),
    ],
)
def test_a_bad_key_is_refused_by_field(admin, api, fields, error):
    response = new_key(admin, api.account, **fields)
    assert error in response.content.decode()
    assert not KEY.search(response.content.decode())
    assert not APIKey.objects.filter(account=api.account, name="app").exists()


def test_of_a_key_only_the_name_can_be_changed(admin, api, other):
    key = api.account.keys.get()
    change = f"/admin/apikeys/apikey/{key.pk}/change/"
    form = {
        "name": "new",
        "scopes": "read",
        "account": other.account.pk,
        "revoked_at_0": "2020-01-01",
    }

    assert admin.post(change, form).status_code == 302

    changed = APIKey.objects.get(pk=key.pk)
    assert changed.name == "new"
    assert (changed.scopes, changed.account, changed.revoked_at, changed.digest) == (
        key.scopes,
        api.account,
        None,
        key.digest,
    )


def test_revoking_asks_then_bites_and_cannot_be_undone(admin, api):
    key = api.account.keys.get()
    button = page(admin, f"/admin/apikeys/apikey/{key.pk}/change/")
    assert 'formaction="/admin/apikeys/apikey/"' in button
    assert api.get("/v1/me").status_code == 200

    asked = admin.post("/admin/apikeys/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert "This cannot be undone" in asked.content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None

    assert revoke(admin, key).status_code == 302
    time.sleep(1)
    assert api.get("/v1/me").status_code == 401
    key.refresh_from_db()
    revoked_at = key.revoked_at
    assert revoked_at is not None
    assert LogEntry.objects.filter(object_id=str(key.pk), change_message="Revoked.").count() == 1

    revoke(admin, key)
    key.refresh_from_db()
    assert key.revoked_at == revoked_at
    assert LogEntry.objects.filter(object_id=str(key.pk), change_message="Revoked.").count() == 1
    assert "formaction" not in page(admin, f"/admin/apikeys/apikey/{key.pk}/change/")
    assert admin.post(f"/admin/apikeys/apikey/{key.pk}/delete/", {"post": "yes"}).status_code == 403


def test_keys_are_found_by_state(admin, api):
    now = timezone.now()
    for name, fields in {
        "live": {"expires_at": now + timedelta(days=1)},
        "expired": {"expires_at": now - timedelta(days=1)},
        "revoked": {"expires_at": now - timedelta(days=1), "revoked_at": now},
    }.items():
        prefix = f"ip-{uuid4().hex[:8]}"
        api.account.keys.create(name=name, prefix=prefix, digest=b"", scopes=["read"], **fields)

    for state, names in {
        "live": ["live", ""],
        "expired": ["expired"],
        "revoked": ["revoked"],
    }.items():
        html = page(admin, "/admin/apikeys/apikey/", state=state, account__id__exact=api.account.pk)
        assert column(html, "name") == [name or "-" for name in names]
        assert column(html, "state") == [state] * len(names)
