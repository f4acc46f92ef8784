"""The background worker: its loop, and the process that runs it."""

import signal
import subprocess
import time
from datetime import UTC, date, datetime

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from analytics.worker import RETRY, Job, Stop, Worker
from events import partitions
from tests.commandline import environment, start

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = 3  # seconds; it takes one at most where nobody else uses the processor


def ask(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def clocks_at_which_it_runs(period: float, failing: bool, clocks: range) -> list[int]:
    ran: list[int] = []

    def run(now: datetime) -> None:
        ran.append(int(now.timestamp() - NOW.timestamp()))
        if failing:
            raise ValueError("on purpose")

    job = Job("counted", period, run)
    worker = Worker([job])
    for clock in clocks:
        worker.run_if_due(job, datetime.fromtimestamp(NOW.timestamp() + clock, UTC), clock)
    return ran


def test_jobs_run_at_once_and_then_by_their_period():
    assert clocks_at_which_it_runs(1, False, range(4)) == [0, 1, 2, 3]
    assert clocks_at_which_it_runs(60, False, range(130)) == [0, 60, 120]


def test_failed_job_is_tried_again_sooner_but_not_faster_than_it_would_run(caplog):
    assert RETRY == 10
    assert clocks_at_which_it_runs(60, True, range(25)) == [0, 10, 20]
    assert clocks_at_which_it_runs(2, True, range(5)) == [0, 2, 4]
    assert len(caplog.records) == 6
    assert "'counted' failed" in caplog.text
    assert "ValueError: on purpose" in caplog.text


def test_broken_connection_costs_one_job(caplog):
    stop = Stop()
    ran = []

    def breaks(now: datetime) -> None:
        ask("SELECT pg_terminate_backend(pg_backend_pid())")

    def works(now: datetime) -> None:
        ran.append(ask("SELECT 7"))
        stop.set()

    Worker([Job("breaks", 1, breaks), Job("works", 1, works), Job("late", 1, works)]).run(stop)

    assert ran == [7]
    ours = [record for record in caplog.records if record.name == "analytics.worker"]
    assert [record.exc_info[0] for record in ours] == [OperationalError]


def test_stop_at_the_end_of_stdin(monkeypatch, tmp_path):
    path = tmp_path / "stdin"
    path.write_text("")
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert Stop(on_eof=True).wait(5) is True
        assert Stop().wait(0.01) is False


@pytest.fixture
def last_month() -> date:
    """The last month that gets a partition ahead; it has none."""
    month = partitions.month_of(timezone.now())
    for _ in range(partitions.MONTHS_AHEAD):
        month = partitions.next_month(month)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {partitions.name(month)}")
    partitions.forget()
    return month


def wait_until_made(month: date, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 20
    while month not in partitions.existing():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_makes_partitions_and_stops_soon(number, last_month):
    with start("worker", stdin=subprocess.DEVNULL) as process:
        wait_until_made(last_month, process)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def test_worker_ends_with_the_program_that_started_it(last_month):
    with start("worker", "--stop-on-eof", stdin=subprocess.PIPE) as process:
        wait_until_made(last_month, process)
        process.stdin.write("not the end\n")
        process.stdin.flush()
        time.sleep(0.2)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_worker_outlives_a_database_that_is_down():
    down = environment() | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    with start("worker", env=down, stderr=subprocess.PIPE) as process:
        log = ""
        while log.count("'roll up' failed and will be tried again.") < 2:
            line = process.stderr.readline()
            assert line, "it has ended"
            log += line
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    assert "Traceback" in log
    assert "OperationalError" in log
