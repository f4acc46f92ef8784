"""A real server under load: `manage.py serve`, and clients that send again until it answers."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg

from config.embedded.home import PORT, SUPERUSER, Home
from tests.conftest import event
from tests.test_serve import PROJECT, Serve

Event = dict[str, Any]
MONTHS = [f"2025-{month:02}" for month in range(1, 7)]


class Site:
    """A server on a data folder of its own; it may be killed and started again."""

    def __init__(
        self, folder: Path, *options: str, log: IO[str] | None = None, **environment: str
    ) -> None:
        self.folder = folder
        self.log = log
        self.options = options
        self.environment = environment
        self.start()
        self.key = self.new_key("Acme")

    def start(self) -> None:
        """Start it, on the port that it had."""
        port = ["--port", str(self.address[1])] if hasattr(self, "serve") else []
        with changed(os.environ, self.environment):
            self.serve = Serve(self.folder, *self.options, *port, log=self.log)
        self.address = self.serve.address

    def new_key(self, account: str) -> str:
        """A key of the account, which is made if it is new."""
        return self.manage("create_api_key", "--account", account).stdout.split()[-1]

    def manage(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A command of the product, beside the running server."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            **self.process_options(),
            capture_output=True,
            check=check,
            timeout=900,
        )

    def process_options(self) -> dict[str, Any]:
        """How to run another process on the same data."""
        clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        given = {**clean, **self.environment, "COSTPRISM_DATA_DIR": str(self.folder)}
        return {"cwd": PROJECT, "env": given, "text": True}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=20)

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """Status, body and headers of one request on a connection of its own."""
        connection = self.connect()
        try:
            return exchange(connection, key or self.key, method, path, body)
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether it says so."""
        try:
            return bool(self.ask("GET", "/readyz")[0] == 200)
        except (OSError, http.client.HTTPException):
            return False

    def sql(
        self, statement: str, *parameters: Any, database: str = "costprism"
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement, asked of the database itself."""
        host = str(Home(self.folder).sockets)
        address = {"host": host, "port": PORT, "user": SUPERUSER, "dbname": database}
        writable = "-c default_transaction_read_only=off"
        with psycopg.connect(**address, autocommit=True, options=writable) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def web_processes(self) -> list[psutil.Process]:
        """The children that answer requests."""
        children = psutil.Process(self.serve.process.pid).children()
        return [child for child in children if "worker" not in child.cmdline()]

    def postgres(self) -> list[psutil.Process]:
        """The database's processes."""
        pid = int((Home(self.folder).data / "postmaster.pid").read_text().split()[0])
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]

    def close(self) -> None:
        """Kill what is left."""
        kill(self.serve.family())
        self.serve.process.communicate()


@contextmanager
def changed(mapping: Any, values: dict[str, str]) -> Iterator[None]:
    before = dict(mapping)
    mapping.update(values)
    try:
        yield
    finally:
        mapping.clear()
        mapping.update(before)


def exchange(
    connection: http.client.HTTPConnection, key: str, method: str, path: str, body: Any = None
) -> tuple[int, Any, Any]:
    """One request; raises OSError or HTTPException if there is no whole answer."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    raw = None if body is None else json.dumps(body).encode()
    connection.request(method, path, raw, headers)
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content, parse_float=str), answer.headers


def kill(processes: list[psutil.Process]) -> None:
    """kill -9, all at once."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def seconds_until(happens: Callable[[], object], patience: float = 30) -> float:
    """How long it takes until something is true."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < patience, "it did not happen"
        time.sleep(0.02)
    return time.monotonic() - began


class Clients:
    """Clients that send batches until they are told that they are stored, as the README says to."""

    def __init__(
        self,
        site: Site,
        *,
        count: int = 4,
        size: int = 20,
        pause: float = 0.0,
        months: Sequence[str] = MONTHS,
        name: str = "",
    ) -> None:
        self.site, self.size, self.pause, self.months = site, size, pause, months
        self.name = name
        self.acknowledged: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.refusals: list[tuple[Any, Any]] = []
        self.unanswered = 0
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        """Each client brings its last batch home."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def events(self, client: int, number: int) -> list[Event]:
        """A batch; its events lie in some months and belong to some entities and sessions."""
        return [
            event(
                id=f"{self.name}{client}-{number}-{index}",
                timestamp=f"{self.months[index % len(self.months)]}-01T12:{number % 60:02}:00Z",
                entity_type="customer",
                entity_id=f"c{number % 7}",
                session_id=f"s{client}-{number % 50}",
                tags={"client": str(client)},
            )
            for index in range(self.size)
        ]

    def _run(self, client: int) -> None:
        connection = self.site.connect()
        number = 0
        while not self._stop.is_set():
            number += 1
            connection = self._deliver(connection, self.events(client, number))
            time.sleep(self.pause)
        connection.close()

    def _deliver(self, connection: Any, batch: list[Event]) -> Any:
        """Send until there is a 200; it has to say that all is stored."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                status, body, headers = exchange(
                    connection, self.site.key, "POST", "/v1/events", {"events": batch}
                )
            except (OSError, http.client.HTTPException, ValueError) as error:
                with self._lock:
                    self.unanswered += not isinstance(error, ConnectionRefusedError)
                connection.close()
                time.sleep(0.02)
                continue
            with self._lock:
                self.statuses[status] += 1
                if status == 200:
                    if body["accepted"] + body["duplicates"] != len(batch):
                        self.faults.append(str(body)[:300])
                    self.acknowledged.update(one["id"] for one in batch)
                    return connection
                self.refusals.append((body, headers))
            time.sleep(0.05)
        self.faults.append("not delivered within a minute")
        return connection


def verdict(site: Site, clients: Clients) -> dict[str, int]:
    """What is wrong with what is stored, each of which must be 0."""
    stored = Counter(id_ for (id_,) in site.sql("SELECT id FROM events_event"))
    path = "/v1/analytics/costs?start_date=2025-01-01&end_date=2100-12-31"
    status, body, _ = site.ask("GET", path)
    assert status == 200, body
    (answer,) = body["data"]
    compared = site.manage("verify_rollups", check=False)
    return {
        "acknowledged lost": len(clients.acknowledged - stored.keys()),
        "stored twice": sum(count - 1 for count in stored.values()),
        "answer differs by": abs(answer["total_events"] - len(stored)),
        "verify_rollups fails": compared.returncode,
        "faults": len(clients.faults),
    }
