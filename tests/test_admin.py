"""The admin: accounts, and what holds for all of its pages."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from analytics.models import Anomaly, AnomalyType, Severity
from apikeys.models import Account
from events.models import Entity
from tests.adminsite import LISTS, column, new_key, page, person, revoke
from tests.conftest import event

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def admin():
    return person(superuser=True)


def test_accounts_are_made_and_edited_but_not_deleted(admin, api):
    name = f"New {uuid4().hex}"
    form = {"name": name, "email": "a@example.com", "plan": "growth", "requests_per_minute": 7}

    assert admin.post("/admin/apikeys/account/add/", form).status_code == 302
    made = Account.objects.get(name=name)
    assert (made.email, made.rate_limit) == ("a@example.com", 300)

    change = f"/admin/apikeys/account/{made.pk}/change/"
    assert admin.post(change, form | {"plan": "enterprise", "company": "A"}).status_code == 302
    made.refresh_from_db()
    assert (made.company, made.rate_limit) == ("A", 7)

    assert (
        admin.post(f"/admin/apikeys/account/{made.pk}/delete/", {"post": "yes"}).status_code == 403
    )
    listed = page(admin, "/admin/apikeys/account/", q=api.account.name)
    assert "delete_selected" not in listed
    assert (column(listed, "limit"), column(listed, "keys")) == (["60000"], ["1"])


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("name", None, "Account with this Name already exists."),
        ("requests_per_minute", 0, "greater than or equal to 1"),
        ("requests_per_minute", 2**31, "less than or equal to 2147483647"),
        ("email", "nobody", "Enter a valid email address."),
        ("plan", "gold", "Select a valid choice."),
    ],
)
def test_a_bad_account_is_refused_by_field(admin, api, field, value, error):
    form = {"name": uuid4().hex, "email": "", "plan": "free", "requests_per_minute": 1}
    form[field] = api.account.name if value is None else value
    response = admin.post("/admin/apikeys/account/add/", form)
    assert response.status_code == 200
    assert error in response.content.decode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("event/?success__exact=0", 400),
        ("event/?id__contains=x", 400),
        ("event/?account__id__exact=x", 302),
        ("event/?entity=x", 302),
        ("event/?entity=0", 302),
        ("event/?entity=99999999999999999999", 302),
        ("event/?q=%00", 200),
        ("event/?o=1.-2&all=1", 200),
        ("entity/?entity_type=%00", 302),
        ("entity/?nonsense=1", 302),
    ],
)
def test_a_bad_address_is_no_failure(admin, path, status):
    assert admin.get(f"/admin/events/{path}").status_code == status


def test_stored_text_is_shown_as_text(admin, api):
    text = dict.fromkeys(("model", "provider", "entity_type", "entity_id", "session_id"), SCRIPT)
    api.send(event(id=SCRIPT, error_type=SCRIPT, error_code=SCRIPT, tags={SCRIPT: SCRIPT}, **text))
    entity = Entity.objects.get(account=api.account)
    Entity.objects.filter(pk=entity.pk).update(name=SCRIPT)
    api.account.keys.update(name=SCRIPT)
    Account.objects.filter(pk=api.account.pk).update(name=f"{SCRIPT}{uuid4().hex}", company=SCRIPT)
    Anomaly.objects.create(
        account=api.account,
        entity=entity,
        date="2025-01-15",
        type=AnomalyType.COST_SPIKE,
        severity=Severity.HIGH,
        detected_at=timezone.now(),
        description=SCRIPT,
        expected_value="12.5",
        actual_value="55",
    )
    (key,) = api.account.keys.all()
    paths = [
        *LISTS,
        "/admin/",
        f"/admin/events/event/?entity={entity.pk}",
        f"/admin/events/event/?q={SCRIPT}",
        f"/admin/events/event/{api.account.pk}_3A{SCRIPT.replace('/', '_2F')}/change/",
        f"/admin/events/entity/{entity.pk}/change/",
        f"/admin/apikeys/account/{api.account.pk}/change/",
        f"/admin/apikeys/apikey/{key.pk}/change/",
        f"/admin/analytics/anomaly/{Anomaly.objects.get(account=api.account).pk}/change/",
    ]
    pages = [page(admin, path) for path in paths]
    pages.append(new_key(admin, api.account, name=SCRIPT).content.decode())
    asked = {"action": "revoke", "_selected_action": [key.pk]}
    pages.append(admin.post("/admin/apikeys/apikey/", asked).content.decode())
    for html in pages:
        assert SCRIPT not in html
    assert sum("&lt;script&gt;alert(1)&lt;/script&gt;" in html for html in pages) >= len(pages) - 2
    anomalies = page(admin, LISTS[-1], account__id__exact=api.account.pk)
    assert (column(anomalies, "expected"), column(anomalies, "actual")) == (["12.50"], ["55.00"])


@pytest.mark.parametrize("path", [*LISTS, "/admin/apikeys/apikey/add/"])
def test_nothing_is_shown_without_permission(path):
    nobody = person()
    assert "permission to view or edit anything" in page(nobody, "/admin/")
    assert nobody.get(path).status_code == 403
    assert Client().get(path).headers["Location"].startswith("/admin/login/")


def test_who_may_only_view_keys_cannot_make_or_revoke_them(api):
    viewer = person()
    user = User.objects.get(pk=viewer.session["_auth_user_id"])
    user.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    (key,) = api.account.keys.all()

    assert "formaction" not in page(viewer, f"/admin/apikeys/apikey/{key.pk}/change/")
    assert new_key(viewer, api.account).status_code == 403
    revoke(viewer, key)
    key.refresh_from_db()
    assert key.revoked_at is None
