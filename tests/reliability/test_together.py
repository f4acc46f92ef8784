"""Many at once: the same events, one limit, a small pool."""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from statistics import quantiles

import pytest

from tests.conftest import event
from tests.reliability.site import Site, exchange, seconds_until

JANUARY = "start_date=2025-01-01&end_date=2025-01-31"


@pytest.fixture(scope="module")
def site(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of two processes; a question may take one second."""
    folder = tmp_path_factory.mktemp("together") / "data"
    subprocess.run(["cp", "-a", migrated, folder], check=True)
    site = Site(folder, "--processes", "2", QUERY_TIMEOUT="1")
    yield site
    site.close()


def batch(prefix: str, count: int) -> list[dict]:
    return [event(id=f"{prefix}-{number}", session_id=f"s{number % 9}") for number in range(count)]


def at_once(site: Site, key: str, bodies: list, path: str = "/v1/events") -> list[tuple]:
    """The answers to all bodies, sent at the same moment, each by a client of its own."""
    barrier = threading.Barrier(len(bodies))

    def send(body):
        connection = site.connect()
        connection.connect()
        barrier.wait()
        try:
            return exchange(connection, key, "POST", path, {"events": body})
        finally:
            connection.close()

    with ThreadPoolExecutor(len(bodies)) as clients:
        return list(clients.map(send, bodies))


def stored(site: Site, key: str) -> int:
    return site.ask("GET", f"/v1/analytics/costs?{JANUARY}", key=key)[1]["summary"]["total_events"]


def deadlocks(site: Site) -> int:
    return site.sql("SELECT sum(deadlocks)::int FROM pg_stat_database")[0][0]


def test_the_same_batch_ten_times(site, figures):
    key, sent = site.new_key("Ten times"), batch("a", 200)
    answers = [site.ask("POST", "/v1/events", {"events": sent}, key)[1] for _ in range(10)]
    counts = sum(one["accepted"] for one in answers), sum(one["duplicates"] for one in answers)
    figures.show("200 events ten times: created, duplicates", counts, "200, 1800")
    assert counts == (200, 1800)
    assert stored(site, key) == 200


def test_twenty_clients_with_the_same_batch(site, figures):
    key, sent = site.new_key("At once"), batch("b", 500)
    answers = at_once(site, key, [sent] * 20)
    assert {status for status, _, _ in answers} == {200}
    counts = [sum(body[name] for _, body, _ in answers) for name in ("accepted", "duplicates")]
    figures.show("500 events by 20 clients at once: created, duplicates", counts, "500, 9500")
    assert counts == [500, 9500]
    assert stored(site, key) == 500


def test_overlapping_shuffled_batches(site, figures):
    key, random, before = site.new_key("Overlapping"), Random("overlap"), deadlocks(site)
    all_events, created = batch("c", 3000), 0
    for _ in range(4):
        bodies = [random.sample(all_events, 800) for _ in range(12)]
        answers = at_once(site, key, bodies)
        assert {status for status, _, _ in answers} == {200}
        created += sum(body["accepted"] for _, body, _ in answers)
        union = {one["id"] for body in bodies for one in body}
        all_events = [one for one in all_events if one["id"] not in union] + batch("c", 3000)
    figures.show("12 clients overlapping, 4 rounds: stored", stored(site, key), created)
    assert stored(site, key) == created == 3000
    figures.show("deadlocks", deadlocks(site) - before, "0")
    assert deadlocks(site) == before


def test_a_limit_of_100_lets_exactly_100_of_800_pass(site, figures):
    key = site.new_key("Limited")
    site.sql("UPDATE apikeys_account SET requests_per_minute = 100 WHERE name = 'Limited'")
    time.sleep(0.6)  # what is cached of the account
    seconds_until(lambda: time.time() % 60 < 40, 25)

    def ask(_):
        connection = site.connect()
        found = [exchange(connection, key, "GET", "/v1/me")[0] for _ in range(25)]
        connection.close()
        return found

    with ThreadPoolExecutor(32) as clients:
        statuses = Counter(status for found in clients.map(ask, range(32)) for status in found)
    figures.show("of 800 requests passed", statuses[200], "exactly 100")
    assert statuses == {200: 100, 429: 700}


def test_a_revoked_key_stops_within_a_second(site, figures):
    key = site.new_key("Revoked")
    assert site.ask("GET", "/v1/me", key=key)[0] == 200
    site.sql("UPDATE apikeys_apikey SET revoked_at = now() WHERE prefix = %s", key[:11])
    took = seconds_until(lambda: {site.ask("GET", "/v1/me", key=key)[0] for _ in range(8)} == {401})
    figures.show("revocation effective in s", f"{took:.2f}", "<= 1")
    assert took <= 1


def test_more_clients_than_connections(folder, figures):
    """64 clients on one process of 8 threads with a pool of 8 connections."""
    site = Site(folder, "--processes", "1", "--threads", "8", "--no-worker")
    paths = ["/v1/me", "/v1/events?limit=5", f"/v1/analytics/costs?{JANUARY}&group_by=entity"]

    def ask(client: int) -> list[int]:
        connection = site.connect()
        found = [exchange(connection, site.key, "GET", path)[0] for path in paths * 2]
        sent = {"events": batch(str(client), 10)}
        found.append(exchange(connection, site.key, "POST", "/v1/events", sent)[0])
        connection.close()
        return found

    try:
        with ThreadPoolExecutor(64) as clients:
            statuses = Counter(status for found in clients.map(ask, range(64)) for status in found)
        time.sleep(0.5)
        left = site.sql(
            "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity"
            " WHERE datname = 'costprism' AND pid <> pg_backend_pid()"
        )[0]
    finally:
        site.close()
    figures.show("64 clients on a pool of 8", dict(statuses), "2xx, 429, 503 only")
    figures.show("connections after it, those not idle", left, "<= 8, 0")
    assert set(statuses) <= {200, 429, 503}
    assert left[0] <= 8
    assert left[1] == 0


def test_a_question_that_takes_too_long_is_cancelled(site, figures):
    """It waits for a lock here, and holds no connection for longer than it may."""
    stop = threading.Event()

    def lock():
        import psycopg

        from config.embedded.home import PORT, SUPERUSER, Home

        address = {"host": str(Home(site.folder).sockets), "port": PORT, "user": SUPERUSER}
        with psycopg.connect(dbname="costprism", **address) as connection:
            connection.execute("LOCK TABLE events_rollup_day_entity IN ACCESS EXCLUSIVE MODE")
            stop.wait(10)

    locker = threading.Thread(target=lock)
    locker.start()
    time.sleep(0.3)
    began = time.monotonic()
    path = f"/v1/analytics/costs?{JANUARY}&group_by=entity"
    status, body, headers = site.ask("GET", path)
    took = time.monotonic() - began
    stop.set()
    locker.join()
    figures.show("slow question answered in s", f"{took:.2f}", "503 after its timeout of 1")
    assert (status, headers["Content-Type"]) == (503, "application/problem+json")
    assert body["detail"] == "The answer takes longer than 1 s; ask for less."
    assert headers["Retry-After"] == "5"
    assert 1 <= took < 2.5
    assert site.ask("GET", path)[0] == 200


@pytest.mark.soak
def test_ingest_beside_slow_questions(site, figures):
    """Questions that all run into their timeout, one after the other, on 300,000 events."""
    site.manage("seed_demo", "--account", "Slow", "--events", "300000")
    reader, writer = site.new_key("Slow"), site.new_key("Fast")
    stop, statuses = threading.Event(), Counter()
    path = "/v1/analytics/costs?start_date=2015-01-01&end_date=2100-12-31"
    path += "&group_by=hour,entity,model,tags.feature,tags.env&timezone=Asia/Kathmandu"

    def read():
        while not stop.is_set():
            statuses[site.ask("GET", path, key=reader)[0]] += 1

    def p99(prefix: str) -> float:
        connection, took = site.connect(), []
        for number in range(400):
            body = {"events": batch(f"{prefix}-{number}", 20)}
            began = time.perf_counter()
            assert exchange(connection, writer, "POST", "/v1/events", body)[0] == 200
            took.append(time.perf_counter() - began)
        connection.close()
        return quantiles(took, n=100)[98] * 1000

    p99("warm")
    alone = p99("alone")
    thread = threading.Thread(target=read)
    thread.start()
    beside = p99("beside")
    stop.set()
    thread.join()
    figures.show(
        "ingest p99 alone, beside slow questions, ms", f"{alone:.1f}, {beside:.1f}", "<= 2x"
    )
    figures.show("slow questions", dict(statuses), "200 or 503")
    assert set(statuses) <= {200, 503}
    assert beside <= 2 * alone
