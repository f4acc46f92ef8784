"""What the README shows is what happens: every request, program, command and setting in it."""

import argparse
import json
import re
import shlex
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

from analytics.models import Anomaly
from config.openapi import views
from tests import v2
from tests.conftest import Api

HOME = Path(__file__).parent.parent
README = (HOME / "README.md").read_text()
URL = "$COSTPRISM_URL"

CURL = argparse.ArgumentParser()
CURL.add_argument("-G", action="store_true")
CURL.add_argument("-X")
CURL.add_argument("-H", action="append")
CURL.add_argument("-d", action="append")
CURL.add_argument("url")


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def shown() -> Iterator[tuple[list[str], str]]:
    """Each command of the console blocks, as its words, and what it printed."""
    for session in "".join(blocks("console")).removeprefix("$ ").split("\n$ "):
        lines = session.split("\n")
        count = next(n for n in range(1, len(lines) + 1) if complete("\n".join(lines[:n])))
        command = "\n".join(lines[:count]).replace("\\\n", " ")
        yield shlex.split(command), "\n".join(lines[count:]).rstrip("\n")


def complete(command: str) -> bool:
    try:
        return bool(shlex.split(command)) and not command.endswith("\\")
    except ValueError:  # a quote is open
        return False


def curls() -> list[tuple[argparse.Namespace, str]]:
    """The requests, in order, and their answers."""
    return [(CURL.parse_args(words[1:]), said) for words, said in shown() if words[0] == "curl"]


def test_requests_are_answered_as_printed(api):
    for request, printed in curls():
        answered = perform(api, request).replace(api.account.name, "Acme")
        pattern = re.escape(layout(printed)).replace('"…"', "…").replace("…", "[^ ]+")
        assert re.fullmatch(pattern, layout(answered)), answered


def perform(api: Api, request: argparse.Namespace) -> str:
    """The text that curl would print."""
    headers = dict(line.replace("$COSTPRISM_KEY", api.key).split(": ") for line in request.H)
    path = request.url.removeprefix(URL).replace("anomaly_123", an_anomaly(api))
    if request.G or not request.d:
        response = api.http.get(f"{path}?{'&'.join(request.d or [])}", headers=headers)
    else:
        body, content_type = "".join(request.d), headers["Content-Type"]
        send = api.http.patch if request.X == "PATCH" else api.http.post
        response = send(path, body, content_type=content_type, headers=headers)
    return (response.getvalue() if response.streaming else response.content).decode()


def an_anomaly(api: Api) -> str:
    """The one that the README changes: of the whole account, on a day of its own."""
    found, _ = Anomaly.objects.get_or_create(
        account=api.account,
        date="2024-12-24",
        type="cost_spike",
        defaults={
            "severity": "high",
            "detected_at": "2024-12-24T10:30:00Z",
            "description": "Cost increased 340% compared to 7-day average",
            "expected_value": "12.50",
            "actual_value": "55.00",
            "contributors": {
                "effects": [["volume", "2.50"], ["tokens_per_call", "40.00"]],
                "models": [["openai/gpt-4o", "42.50"]],
                "tags": [],
                "sessions": [],
            },
        },
    )
    return found.public_id


def layout(text: str) -> str:
    """JSON in one line, its numbers as they are written; other text with plain line ends."""
    try:
        quoted = text.replace(": …", ': "…"')  # a number that is another one each time
        return json.dumps(json.loads(quoted, parse_float=str), ensure_ascii=False)
    except ValueError:
        return text.replace("\r\n", "\n").rstrip("\n")


def test_every_operation_is_requested():
    operations = {
        (method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", path)))
        for path, methods in json.loads(views.as_json())["paths"].items()
        for method in methods
    }
    requested = {
        (
            request.X or ("GET" if request.G or not request.d else "POST"),
            request.url.removeprefix(URL),
        )
        for request, _ in curls()
    }
    missing = [
        (method, path.pattern)
        for method, path in operations
        if not path.pattern.startswith(v2.PREFIX)  # the table has those
        if not any(method == m and path.fullmatch(p) for m, p in requested)
    ]
    assert missing == []


def test_import_does_what_is_printed(api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (table,) = blocks("csv")
    Path("calls.csv").write_text(table)
    ((words, printed),) = [found for found in shown() if found[0][0] == "python"]
    words = [api.account.name if word == "Acme" else word for word in words]
    stdout = StringIO()
    call_command(*words[2:], stdout=stdout, stderr=StringIO())
    assert stdout.getvalue().strip() == printed
    assert api.read("/v1/events")["data"][0]["entity_id"] == "support"


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The product on a port, named in the environment; every other answer of it gets lost."""
    product, requests = get_wsgi_application(), []

    def application(environ: Any, start_response: Any) -> Any:
        requests.append(environ["PATH_INFO"])
        if len(requests) % 2:
            return product(environ, start_response)
        b"".join(product(environ, lambda *args: None))
        start_response("502 Bad Gateway", [])
        return [b""]

    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setenv("COSTPRISM_URL", f"http://127.0.0.1:{running.server_port}")
        monkeypatch.setenv("COSTPRISM_KEY", api.key)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        yield
        running.shutdown()
        thread.join()


@pytest.mark.usefixtures("server")
def test_programs_send_events_and_lose_none(api):
    one_by_one, in_batches = (compile(code, "README.md", "exec") for code in blocks("python"))
    exec(one_by_one, {})
    assert api.read("/v1/events")["pagination"]["total"] == 1
    names: dict[str, Any] = {}
    exec(in_batches, names)
    for number in range(2500):
        names["record"](provider="openai", model="gpt-4o", input_tokens=number, output_tokens=1)
    names["events"].join()
    names["session"].close()
    assert api.read("/v1/events")["pagination"]["total"] == 2501


def test_table_of_the_second_surface_has_every_title_and_what_it_answers(api):
    rows = re.findall(r"^\| (Get .+?) \| `(.+?)` \| (.+?) \|$", README, re.MULTILINE)
    assert {title: path for title, path, _ in rows} == v2.TITLES
    for title, path, said in rows:
        status = api.get(f"{v2.PREFIX}{path}").status_code
        assert said == "works" if status == 200 else said.startswith(f"{status}: "), title


def table(heading: str) -> set[str]:
    """The first column of the table under a heading."""
    text = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_configuration_table_is_complete():
    settings = (HOME / "config" / "settings.py").read_text()
    assert table("Configuration") == set(re.findall(r"environment\.\w+\(\s*\"(\w+)\"", settings))


def test_commands_table_is_complete():
    ours = {path.stem for path in HOME.glob("*/management/commands/*.py")} - {"__init__"}
    assert table("Commands") == ours | {"createsuperuser", "migrate"}


@pytest.mark.parametrize("page", [HOME / "README.md", *(HOME / "docs").glob("*.md")], ids=str)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert urlsplit(link).scheme or (page.parent / link.partition("#")[0]).exists(), link
