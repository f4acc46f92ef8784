"""Clients that stall, shout or break the rules of HTTP; and a JSON answer where one is due."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import requests
from django.test import Client

from tests.conftest import event
from tests.test_serve import PROJECT, Serve

STALL = 2  # seconds
WIDE = {f"tag-{number}": "x" * 100 for number in range(20)}
EVENTS: list[Any] = [event(timestamp=None, tags=WIDE)] * 800
TOO_LARGE = " " * (40 * 1024 * 1024)
POST = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """One process of two threads, so that two clients could take them all."""
    folder = tmp_path_factory.mktemp("server") / "data"
    options = ["--processes", "1", "--threads", "2", "--timeout", str(STALL), "--no-worker"]
    with Serve(folder, *options) as serve:
        yield serve
        assert serve.stop() == 0


@pytest.fixture(scope="module")
def bearer(server: Serve) -> str:
    """The Authorization header of an account with 2 MB of events."""
    header = f"Bearer {new_key(server.folder)}"
    session = requests.Session()
    session.headers["Authorization"] = header
    answer = session.post(f"{server.url}/v1/events", json={"events": EVENTS}, timeout=30)
    assert answer.json()["accepted"] == len(EVENTS)
    return header


def new_key(folder: Path) -> str:
    """A key, made beside the running server."""
    command = [sys.executable, "manage.py", "create_api_key", "--account", "Acme"]
    clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment = {**clean, "COSTPRISM_DATA_DIR": str(folder)}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


def connect(server: Serve, sent: str) -> socket.socket:
    """A connection that says so much, and reads as little ahead as it can."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(server.address)
    client.sendall(sent.encode())
    return client


def ask(server: Serve, sent: str) -> tuple[str, bytes]:
    """Head and body of the answer to raw bytes; the server must close after it."""
    with closing(connect(server, sent)) as client:
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    return head.decode(), body


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def csv(bearer: str) -> str:
    """A request for more than all buffers between us hold."""
    head = f"Host: localhost\r\nAuthorization: {bearer}\r\nConnection: close"
    return f"GET /v1/events?format=csv HTTP/1.1\r\n{head}\r\n\r\n"


@pytest.mark.parametrize("kind", ["silent", "half a head", "half a body", "deaf"])
def test_clients_that_stall_do_not_take_the_server(server: Serve, bearer: str, kind: str) -> None:
    post = f"{POST}Authorization: {bearer}\r\n"
    sent = {
        "silent": "",
        "half a head": "GET /healthz HTTP/1.1\r\nX-A: ",
        "half a body": f"{post}Content-Length: 17\r\n\r\n{{",
        "deaf": csv(bearer),
    }
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(closing(connect(server, sent[kind])))
        time.sleep(0.3)  # by now they have all threads, if they get them
        began = time.monotonic()
        assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
    if kind == "silent":
        assert time.monotonic() - began < STALL


def test_client_that_does_not_hang_up_keeps_nobody_out(server: Serve) -> None:
    with closing(connect(server, f"{POST}Content-Length: 17\r\n\r\n")) as client:
        assert client.recv(16) == b"HTTP/1.1 401 Una"  # from now on, the server waits to close it
        assert requests.get(f"{server.url}/healthz", timeout=1.5).status_code == 200


def test_half_a_body_is_answered_and_closed(server: Serve, bearer: str) -> None:
    post = f"{POST}Authorization: {bearer}\r\n"
    head, body = ask(server, f"{post}Content-Length: 17\r\n\r\n{{")
    assert head.startswith("HTTP/1.1 400 ")
    assert "Connection: close" in head
    assert json.loads(body)["status"] == 400


def test_slow_but_steady_reader_gets_it_all(server: Serve, bearer: str) -> None:
    with closing(connect(server, csv(bearer))) as client:
        began, got = time.monotonic(), b""
        while part := client.recv(16384):
            got += part
            time.sleep(0.01)
    assert time.monotonic() - began > 2 * STALL
    assert got.endswith(b"0\r\n\r\n")


def test_idle_connection_holds_no_thread(server: Serve) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            session = stack.enter_context(requests.Session())
            answer = session.get(f"{server.url}/healthz", timeout=STALL / 2)
            assert answer.headers["Connection"] == "keep-alive"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (f"GET /{'x' * 9000} HTTP/1.1\r\n", 414),
        ("GET /healthz HTTP/1.1\r\nHost localhost\r\n", 400),
        (f"GET /healthz HTTP/1.1\r\nX-Long: {'x' * 9000}\r\n", 431),
        ("POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n", 400),
        ("POST /v1/events HTTP/1.1\r\nTransfer-Encoding: bzip2\r\n", 501),
        ("POST /v1/events HTTP/1.1\r\nExpect: wonders\r\n", 417),
        ("<?xml?>", 400),
    ],
)
def test_what_is_no_http_is_answered_in_json(server: Serve, sent: str, status: int) -> None:
    head, body = ask(server, f"{sent}\r\n\r\n")
    problem = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {status} {problem['title']}\r\n")
    assert "Content-Type: application/problem+json" in head
    assert "Connection: close" in head
    assert f"X-Request-ID: {problem['request_id']}" in head
    assert problem.keys() == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status


@pytest.mark.parametrize("chunked", [False, True])
def test_connection_is_closed_after_an_unread_body_and_said_so(
    server: Serve, bearer: str, chunked: bool
) -> None:
    body = iter([TOO_LARGE.encode()]) if chunked else TOO_LARGE
    with requests.Session() as session:
        session.headers["Authorization"] = bearer
        refused = session.post(f"{server.url}/v1/events", data=body, timeout=30)
        assert (refused.status_code, refused.headers["Connection"]) == (413, "close")
        assert session.get(f"{server.url}/v1/me", timeout=5).status_code == 200


def test_client_that_sends_too_much_can_read_so(server: Serve) -> None:
    head, _ = ask(server, f"{POST}Content-Length: {len(TOO_LARGE)}\r\n\r\n{TOO_LARGE}")
    assert head.startswith("HTTP/1.1 401 ")


def test_connection_is_kept_after_an_error_with_its_body_read(server: Serve, bearer: str) -> None:
    headers = {"Authorization": bearer}
    answer = requests.post(f"{server.url}/v1/events", data=b"[", headers=headers, timeout=5)
    assert (answer.status_code, answer.headers["Connection"]) == (400, "keep-alive")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/schema", "/docs", "/admin"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_read_only_address_refuses_to_write_in_json(path: str, method: str) -> None:
    answer = Client(enforce_csrf_checks=True).generic(method, path)
    assert answer.status_code == 405
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Allow"] == "GET, HEAD"
    assert answer.json()["detail"] == f"Method {method} is not allowed."


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/schema", "/docs"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_read_only_address_is_read(path: str, method: str) -> None:
    assert Client().generic(method, path).status_code == 200
