"""Ten minutes at 70 % of what it takes, with readers: nothing fails, grows or slows down."""

import http.client
import threading
import time
from collections import Counter
from statistics import quantiles

import psutil
import pytest

from tests.reliability.site import Clients, Site, exchange, verdict
from tests.reliability.test_kills import NOTHING_WRONG

MINUTES = 10
SIZE = 100  # events in a batch
READS = [
    "/v1/analytics/costs?start_date=2025-01-01&end_date=2025-06-30&group_by=entity",
    "/v1/analytics/costs/timeseries?start_date=2025-01-01&end_date=2025-06-30&interval=day",
    "/v1/analytics/models?start_date=2025-01-01&end_date=2025-06-30&timezone=Asia/Kathmandu",
    "/v1/analytics/sessions?start_date=2025-01-01&end_date=2025-06-30&limit=20",
    "/v1/events?limit=50",
]


class Paced(Clients):
    """Clients that together send a number of batches a second, and time each."""

    def __init__(self, site: Site, *, per_second: float, **options) -> None:
        super().__init__(site, size=SIZE, **options)
        self.interval = len(self._threads) / per_second
        self.took: list[tuple[float, float]] = []

    def _deliver(self, connection, batch):
        began = time.monotonic()
        connection = super()._deliver(connection, batch)
        took = time.monotonic() - began
        self.took.append((began, took))
        time.sleep(max(0, self.interval - took))
        return connection


def rate(site: Site) -> float:
    """Batches a second that it takes from four clients who do not wait."""
    with Clients(site, size=SIZE) as clients:
        time.sleep(15)
    return clients.statuses[200] / 15


def memory(site: Site) -> int:
    """Bytes of memory that the web processes and the worker have for themselves."""
    return sum(
        process.memory_full_info().uss
        for process in psutil.Process(site.serve.process.pid).children()
    )


def p99(took: list[float]) -> float:
    return quantiles(took, n=100)[98]


def within(clients: Paced, began: float, first: int, last: int) -> list[float]:
    """How long each batch took from one minute to another."""
    return [took for at, took in clients.took if first * 60 <= at - began < last * 60]


@pytest.mark.soak
def test_ten_minutes(site, figures):
    full = rate(site)
    figures.show("measured rate, events/s", round(full * SIZE), "-")
    stop, reads, errors = threading.Event(), Counter(), []

    def read() -> None:
        connection = site.connect()
        for number in range(10**9):
            if stop.wait(0.25):
                break
            try:
                status, _, _ = exchange(connection, site.key, "GET", READS[number % len(READS)])
                reads[status] += 1
            except (OSError, http.client.HTTPException) as error:
                errors.append(repr(error))
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    sizes = []
    with Paced(site, per_second=0.7 * full, name="soak-") as clients:
        began = time.monotonic()
        while time.monotonic() < began + MINUTES * 60:
            time.sleep(10)
            sizes.append(memory(site))
    stop.set()
    reader.join()
    early, late = (p99(within(clients, began, last - 2, last)) for last in (3, MINUTES))
    grown = (sum(sizes[-6:]) / sum(sizes[6:12]) - 1) * 100
    found = verdict(site, clients)
    refused = {status for status in clients.statuses if status != 200} | set(reads) - {200}
    figures.show("events in ten minutes", len(clients.took) * SIZE, "-")
    figures.show("reads", sum(reads.values()), "-")
    figures.show("errors", len(errors) + len(refused) + clients.unanswered, "0")
    figures.show("memory grown by %", f"{grown:.1f}", "<= 5")
    figures.show(
        "p99 of minutes 2-3 and the last two in ms",
        f"{early * 1000:.0f}, {late * 1000:.0f}",
        "<= +20 %",
    )
    figures.show("afterwards", found, "0")
    assert found == NOTHING_WRONG
    assert (errors, refused, clients.unanswered) == ([], set(), 0)
    assert grown <= 5
    assert late <= early * 1.2
