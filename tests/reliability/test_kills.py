"""kill -9 of everything, under load: nothing acknowledged is lost, nothing counts twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from random import Random

import pytest

from tests.reliability.site import Clients, Site, kill, seconds_until, verdict

soak = pytest.mark.soak
NOTHING_WRONG = {
    "acknowledged lost": 0,
    "stored twice": 0,
    "answer differs by": 0,
    "verify_rollups fails": 0,
    "faults": 0,
}


# Beside other tests, on as many processors, a process takes seconds to start.
SLACK = 4 if "PYTEST_XDIST_WORKER" in os.environ else 1


def times(few: int, many: int):
    """So often in `make test`, so often in `make soak`."""
    return pytest.mark.parametrize("times", [few, pytest.param(many, marks=soak)])


def checked(figures, site, clients, what, recovered, bound):
    """The figures that every kill has in common."""
    bound *= SLACK
    found = verdict(site, clients)
    figures.show(
        f"{what}: {len(clients.acknowledged)} events, {clients.unanswered} unanswered;", found, "0"
    )
    figures.show(f"{what}: healthy again in s", f"{max(recovered):.2f}", f"<= {bound}")
    assert found == NOTHING_WRONG, clients.faults[:3]
    assert max(recovered) <= bound
    assert len(clients.acknowledged) > 100


@times(2, 10)
def test_web_processes_killed(site, figures, times):
    recovered = []
    with Clients(site, pause=0.01) as clients:
        for _ in range(times):
            time.sleep(0.7)
            kill(site.web_processes())
            recovered.append(seconds_until(site.is_ready))
        time.sleep(0.3)
    checked(figures, site, clients, f"web processes killed {times} times", recovered, 5)
    assert clients.unanswered > 0


@times(1, 5)
def test_the_whole_server_killed(site, figures, times):
    recovered = []
    with Clients(site, pause=0.01) as clients:
        for _ in range(times):
            time.sleep(1)
            kill(site.serve.family())
            site.serve.process.communicate()
            began = time.monotonic()
            site.start()
            seconds_until(site.is_ready)
            recovered.append(time.monotonic() - began)
        time.sleep(0.3)
    checked(figures, site, clients, f"server killed {times} times", recovered, 5)
    assert clients.unanswered > 0


@times(2, 5)
def test_postgres_killed(site, figures, times):
    web = [process.pid for process in site.web_processes()]
    recovered = []
    with Clients(site, pause=0.01) as clients:
        for _ in range(times):
            time.sleep(1)
            kill(site.postgres())
            recovered.append(seconds_until(lambda: answers(site)))
        time.sleep(0.3)
    checked(figures, site, clients, f"PostgreSQL killed {times} times", recovered, 10)
    assert [process.pid for process in site.web_processes()] == web
    assert clients.unanswered == 0
    assert set(clients.statuses) == {200, 503}
    for body, headers in clients.refusals:
        assert headers["Content-Type"] == "application/problem+json"
        assert (body["status"], headers["Retry-After"]) == (503, "5")
    figures.show("answers 503 meanwhile", clients.statuses[503], "all with Retry-After")


def answers(site: Site) -> bool:
    """Whether it can write again."""
    return bool(site.ask("POST", "/v1/events", {"events": []})[0] == 200 and site.is_ready())


@soak
def test_the_test_can_fail(folder, figures):
    """With commits that are not waited for, killing PostgreSQL loses what was acknowledged."""
    site = Site(folder, "--processes", "2", PGOPTIONS="-c synchronous_commit=off")
    try:
        with Clients(site) as clients:
            for _ in range(3):
                time.sleep(1)
                kill(site.postgres())
                seconds_until(lambda: answers(site))
        found = verdict(site, clients)
    finally:
        site.close()
    figures.show("lost with synchronous_commit=off", found["acknowledged lost"], "> 0")
    assert found["acknowledged lost"] > 0


@times(1, 5)
def test_sigterm_cuts_no_request(site, figures, times):
    stopped = []
    with Clients(site, count=8) as clients:
        for _ in range(times):
            time.sleep(1)
            began = time.monotonic()
            assert site.serve.stop(signal.SIGTERM) == 0
            stopped.append(time.monotonic() - began)
            site.serve.process.communicate()
            site.start()
        time.sleep(0.3)
    found = verdict(site, clients)
    figures.show(f"stopped {times} times; longest s", f"{max(stopped):.2f}", "-")
    figures.show(
        f"stopped {times} times; {len(clients.acknowledged)} events, unanswered",
        clients.unanswered,
        "0",
    )
    assert clients.unanswered == 0
    assert found == NOTHING_WRONG


@pytest.mark.parametrize("kind", ["write", "roll_up"])
@pytest.mark.parametrize("step", ["9", pytest.param("1", marks=soak)])
def test_killed_before_and_after_every_statement(site, figures, kind, step):
    """Also every commit and COPY; and what was sent then is sent again."""
    command = [sys.executable, "-m", "tests.reliability.failpoints", kind, step]
    done = subprocess.run(command, **site.process_options(), capture_output=True, check=True)
    points = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(point["killed"] for point in points), points
    if step == "1":
        assert {"before commit", "after commit"} <= {point["point"] for point in points}
    again = Counter(tuple(point["again"]) for point in points)
    if kind == "write":  # all of it or nothing of it
        assert set(again) <= {("created",) * 3, ("duplicate",) * 3}
    partial = site.sql(
        "SELECT name, count(event.id) FROM apikeys_account AS account LEFT JOIN events_event AS"
        " event ON event.account_id = account.id WHERE name LIKE %s GROUP BY name"
        " HAVING count(event.id) <> 3",
        f"{kind}-%",
    )
    figures.show(f"{len(points)} points of {kind}, partial states", len(partial), "0")
    assert partial == []
    seconds_until(lambda: site.sql("SELECT count(*) FROM events_pendingbatch") == [(0,)])
    assert site.manage("verify_rollups", check=False).returncode == 0


@times(1, 20)
def test_workers_killed(folder, figures, times):
    """Two of them, at random points, while events arrive."""
    site, random = Site(folder, "--processes", "2", "--no-worker"), Random("workers")

    def work() -> "subprocess.Popen[str]":
        return subprocess.Popen([sys.executable, "manage.py", "worker"], **site.process_options())

    workers = [work(), work()]
    try:
        with Clients(site, pause=0.005) as clients:
            for number in range(times):
                time.sleep(random.uniform(1, 1.8))  # it takes one to start
                workers[number % 2].kill()
                workers[number % 2].wait()
                workers[number % 2] = work()
        seconds_until(lambda: site.sql("SELECT count(*) FROM events_pendingbatch") == [(0,)])
        found = verdict(site, clients)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        site.close()
    figures.show(f"workers killed {times} times, {len(clients.acknowledged)} events;", found, "0")
    assert found == NOTHING_WRONG
