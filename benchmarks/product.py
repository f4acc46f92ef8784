"""The product under test: `manage.py serve` on a data folder of its own, over real HTTP."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import psycopg

from config.embedded.home import DATABASE, PORT, SUPERUSER, Home

ROOT = Path(__file__).resolve().parent.parent
SENDERS = 3
NDJSON = "application/x-ndjson"


class Product:
    """A running server, and a key of one of its accounts."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self.database = psycopg.connect(
            host=str(Home(home).sockets), port=PORT, user=SUPERUSER, dbname=DATABASE,
            autocommit=True,
        )  # fmt: skip
        self.use("Benchmark")

    def use(self, account: str) -> None:
        """Speak for this account from now on."""
        key = manage(self.home, "create_api_key", "--account", account).strip()
        self.headers = {"Authorization": f"Bearer {key}"}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement on the product's database; none if it gives none."""
        cursor = self.database.execute(sql)
        return cursor.fetchall() if cursor.description else []

    def get(self, connection: http.client.HTTPConnection, path: str) -> Any:
        """The body of a GET; numbers with a point stay text, so that they stay exact."""
        return json.loads(self.fetch(connection, path), parse_float=str)

    def fetch(self, connection: http.client.HTTPConnection, path: str) -> bytes:
        """The bytes of a GET that must succeed."""
        connection.request("GET", path, headers=self.headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {body.decode()}")
        return body

    def connect(self) -> http.client.HTTPConnection:
        """A connection to keep."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def send(self, bodies: Iterable[bytes], content_type: str = NDJSON) -> float:
        """Post every body, SENDERS at a time; returns the seconds it took."""
        queue: Queue[bytes | None] = Queue(maxsize=2 * SENDERS)
        failures: list[str] = []
        senders = [
            threading.Thread(target=self._sender, args=(queue, content_type, failures))
            for _ in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        started = time.perf_counter()
        for body in bodies:
            queue.put(body)
        for _ in senders:
            queue.put(None)
        for sender in senders:
            sender.join()
        if failures:
            raise RuntimeError(failures[0])
        return time.perf_counter() - started

    def pending(self) -> int:
        """How many events are in the tail."""
        return int(self.query("SELECT coalesce(sum(events), 0) FROM events_pendingbatch")[0][0])

    def await_tail(self) -> float:
        """Wait until everything is rolled up; returns the seconds it took."""
        started = time.perf_counter()
        while self.pending():
            time.sleep(0.1)
        return time.perf_counter() - started

    def _sender(self, queue: "Queue[bytes | None]", content_type: str, failures: list[str]) -> None:
        connection = self.connect()
        headers = {**self.headers, "Content-Type": content_type}
        while (body := queue.get()) is not None:
            connection.request("POST", "/v1/events", body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status not in (200, 201):
                failures.append(f"{response.status} {answer.decode()}")


@contextmanager
def running(home: Path, *, worker: bool = True) -> Iterator[Product]:
    """A server on the data folder `home`, with or without its worker; stopped at the end."""
    port = _free_port()
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    command += [] if worker else ["--no-worker"]
    server = subprocess.Popen(command, cwd=ROOT, env=_on(home), stdout=subprocess.DEVNULL)
    try:
        _await(port, server)
        product = Product(home, port)
        yield product
        product.database.close()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def manage(home: Path, *arguments: str) -> str:
    """The output of a management command on the data folder `home`."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=_on(home), capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode()


def _on(home: Path) -> dict[str, str]:
    environment = {**os.environ, "COSTPRISM_DATA_DIR": str(home)}
    environment.pop("DATABASE_URL", None)
    return environment


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise RuntimeError("The server did not start.")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("The server is not ready after a minute.")
