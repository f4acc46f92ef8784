"""The admin in a real browser. Skipped where there is no Chromium or no Selenium."""

import shutil
from threading import Thread
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from apikeys.models import APIKey
from events.models import Entity
from tests.conftest import Api, event

webdriver = pytest.importorskip("selenium.webdriver")
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def address(settings):
    """Where the product is served to a browser."""
    settings.ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium with its driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.implicitly_wait(5)
    yield chrome
    chrome.quit()


@pytest.fixture
def admin(address, browser):
    """The browser, logged in and able to open a path, to see and to click a selector."""
    user = User.objects.create_superuser(uuid4().hex, password="secret")
    browser.get(f"{address}/admin/")
    browser.find_element("name", "username").send_keys(user.username)
    browser.find_element("name", "password").send_keys("secret")
    browser.find_element("css selector", "[type=submit]").click()
    browser.find_element("class name", "dashboard")
    browser.open = lambda path: browser.get(address + path)
    browser.see = lambda selector: browser.find_element("css selector", selector).text
    browser.click = lambda selector: browser.find_element("css selector", selector).click()
    return browser


def test_a_key_is_made_seen_once_and_revoked(admin, api):
    admin.open(f"/admin/apikeys/apikey/add/?account={api.account.pk}")
    admin.find_element("name", "name").send_keys("my app")
    admin.click("[name=_save]")
    key = admin.see("#issued-key")
    assert Api(api.account, key).get("/v1/me").status_code == 200
    admin.click("#copy-key")
    assert admin.find_element("xpath", "//button[text()='Copied']")
    row = APIKey.objects.get(account=api.account, name="my app")

    admin.refresh()
    assert admin.see(".field-key .readonly") == f"{row.prefix}…"
    assert admin.current_url.endswith(f"/admin/apikeys/apikey/{row.pk}/change/")
    assert key not in admin.page_source
    admin.back()
    assert admin.see(".field-scopes label") == "Scopes:"
    admin.forward()
    assert admin.see(".field-key .readonly") == f"{row.prefix}…"
    assert key not in admin.page_source
    assert APIKey.objects.filter(account=api.account, name="my app").count() == 1

    admin.click("button[value=revoke]")
    admin.click("[name=confirmed]")
    assert admin.see(".messagelist .success") == "Keys revoked: 1."
    row.refresh_from_db()
    assert row.revoked_at is not None


def test_an_entity_with_a_script_for_an_id_is_renamed_and_runs_nothing(admin, api):
    names = {"entity_type": SCRIPT, "entity_id": SCRIPT, "session_id": SCRIPT, "model": SCRIPT}
    api.send(event(id=SCRIPT, tags={SCRIPT: SCRIPT}, error_type=SCRIPT, **names))
    entity = Entity.objects.get(account=api.account)

    # An alert would fail the next command to the browser, whichever it is.
    admin.open(f"/admin/events/entity/?account__id__exact={api.account.pk}")
    admin.click(".field-entity_id a")
    admin.find_element("name", "name").send_keys(f"Acme {SCRIPT}")
    admin.click("[name=_save]")
    assert f"Acme {SCRIPT}" in admin.see(".messagelist .success")
    admin.click(".field-events a")
    assert admin.see(".field-session_id") == SCRIPT
    admin.click(".field-time a")
    assert admin.see(".field-id .readonly") == SCRIPT

    entity.refresh_from_db()
    assert entity.name == f"Acme {SCRIPT}"
