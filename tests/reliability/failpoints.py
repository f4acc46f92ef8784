"""A program that works on the database and is killed at a point of its choice.

`python -m tests.reliability.failpoints write|roll_up STEP` does the work once for every point at
which it talks to the database (or for each STEPth), each time in a fork that kills itself there,
and then once more to its end. The points are before and after each statement, commit and COPY.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import django

Work = Callable[[], object]


class Points:
    """Counts the points that are passed; kills this process at one of them."""

    def __init__(self, deadly: int | None) -> None:
        self.deadly = deadly
        self.passed: list[str] = []

    def reach(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) - 1 == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        """`run` with a point before and after it."""

        def watched(*args: Any, **options: Any) -> Any:
            self.reach(f"before {name}")
            result = run(*args, **options)
            self.reach(f"after {name}")
            return result

        return watched

    def watch(self, execute: Any, sql: str, *args: Any) -> Any:
        """A wrapper for statements, as Django has them."""
        return self.around(" ".join(sql.split())[:40], execute)(sql, *args)


@contextmanager
def watching(points: Points) -> Iterator[None]:
    """All that this process does with the database passes the points."""
    import psycopg
    from django.db import connection
    from django.db.backends.base.base import BaseDatabaseWrapper

    BaseDatabaseWrapper._commit = points.around("commit", BaseDatabaseWrapper._commit)
    psycopg.Copy.write = points.around("copy", psycopg.Copy.write)
    with connection.execute_wrapper(points.watch):
        yield


def write(account: str, number: int) -> Work:
    """Three events, of a month, an entity, a model and tags that are new."""
    from apikeys.models import Account
    from events.ingest import record_events
    from events.schema import parse

    now = datetime.now(UTC)
    sent = [
        {
            "id": f"{account}-{index}",
            "timestamp": f"{2015 + number // 12}-{number % 12 + 1:02}-15T12:00:00Z",
            "model": f"m{number}",
            "provider": "p",
            "input_tokens": 1,
            "output_tokens": 1,
            "entity_type": "team",
            "entity_id": str(index % 2),
            "session_id": "s",
            "tags": {"number": str(number)},
            "cost_usd": "0.01",
        }
        for index in range(3)
    ]
    row, _ = Account.objects.get_or_create(name=account)
    return lambda: [
        one.status
        for one in record_events(row.pk, [parse(event, now) for event in sent], received_at=now)
    ]


def roll_up(account: str, number: int) -> Work:
    """Roll up what was just written."""
    from events.roller import roll_up

    write(account, number)()
    return lambda: [str(roll_up())]


def attempt(kind: str, account: str, number: int, deadly: int | None) -> tuple[int, list[str], Any]:
    """Do the work in a fork; its exit code, the points it passed, and what it says."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        with os.fdopen(reading) as said:
            text = said.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        passed, result = json.loads(text) if text else ([], None)
        return code, passed, result
    work = {"write": write, "roll_up": roll_up}[kind](account, number)
    points = Points(deadly)
    with watching(points):
        result = work()
    os.write(writing, json.dumps([points.passed, result]).encode())
    os._exit(0)


def main(kind: str, step: str) -> None:
    """Print a JSON line for each point: its name, and what the attempt after the kill said."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    _, points, _ = attempt(kind, f"{kind}-whole", 0, None)
    for number, name in list(enumerate(points))[:: int(step)]:
        account = f"{kind}-{number}"
        killed, _, _ = attempt(kind, account, number + 1, number)
        _, _, result = attempt("write", account, number + 1, None)
        print(json.dumps({"point": name, "killed": killed == -9, "again": result}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
