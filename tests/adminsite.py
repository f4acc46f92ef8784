"""A staff member at the admin, and what they read there."""

import re
from uuid import uuid4

from django.contrib.auth.models import User
from django.test import Client

LISTS = [
    "/admin/apikeys/account/",
    "/admin/apikeys/apikey/",
    "/admin/events/entity/",
    "/admin/events/event/",
    "/admin/events/llmmodel/",
    "/admin/events/price/",
    "/admin/events/repricing/",
    "/admin/analytics/anomaly/",
]


def person(*, superuser=False, **client):
    """A client with a staff member logged in."""
    name = uuid4().hex
    user = User.objects.create_user(name, is_staff=True, is_superuser=superuser)
    http = Client(**client)
    http.force_login(user)
    return http


def page(http, path, **params):
    """The text of a page that must be there."""
    response = http.get(path, params)
    assert response.status_code == 200, (response.status_code, response.headers)
    return response.content.decode()


def column(html, name):
    """The texts of a column of a list."""
    cells = re.findall(rf'<t[hd] class="field-{name}[^"]*">(.*?)</t[hd]>', html, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]


def new_key(http, to, **fields):
    """The answer to the form that makes a key."""
    form = {"account": to.pk, "name": "app", "scopes": ["ingest", "read"], **fields}
    return http.post("/admin/apikeys/apikey/add/", form)


def revoke(http, *keys):
    form = {"action": "revoke", "_selected_action": [key.pk for key in keys], "confirmed": "Revoke"}
    return http.post("/admin/apikeys/apikey/", form)
