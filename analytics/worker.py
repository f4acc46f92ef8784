"""The background loop: a short list of jobs, each run again and again, most one after the other.

Jobs are idempotent and guard themselves: two workers, also on two machines, do no harm.
"""

import logging
import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import close_old_connections, connection
from django.utils import timezone

from analytics.anomalies import passes
from apikeys import limits
from events import partitions, retention, roller
from events.pricing import unpriced

logger = logging.getLogger(__name__)

ROUND = 1.0  # seconds; no job runs more often
RETRY = 10.0  # seconds until a job that failed is tried again, if its period is longer


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is due every `period` seconds. Raising is allowed: it is logged and tried again."""

    name: str
    period: float
    run: Callable[[datetime], Any]
    beside: bool = False
    """In a thread of its own: it may take a minute, and rolling up must not wait for it."""


def roll_up(now: datetime) -> None:
    """Roll up until little is left: what a round leaves lies at most two rounds back."""
    while roller.roll_up() >= roller.MAX_EVENTS // 2:
        pass


JOBS = [
    Job("roll up", ROUND, roll_up),
    Job("price", 2, unpriced.clerk.run),
    Job("partitions", 60, partitions.ensure_ahead),
    Job("retention", 24 * 3600, retention.apply),
    Job("rate limits", 3600, limits.forget_addresses),
    Job("anomalies", 300, passes.run, beside=True),
]


class Stop:
    """Tells the loop to end: on a signal, or when nothing will come on stdin any more.

    The signal handler only writes to a pipe. It may interrupt anything, and setting an Event that
    the main thread waits for could wait for ever.
    """

    def __init__(self, *, on_eof: bool = False) -> None:
        self._wake, self._waker = os.pipe()
        self._watched = [self._wake, sys.stdin.fileno()] if on_eof else [self._wake]

    def set(self, *_: object) -> None:
        """End the loop after the present job. Fits as a signal handler."""
        os.write(self._waker, b".")

    def wait(self, seconds: float) -> bool:
        """Wait so long, or shorter if it is time to stop; say whether it is."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select(self._watched, [], [], left)
            if self._wake in ready or any(os.read(source, 4096) == b"" for source in ready):
                return True
            if not ready:
                return False


class Worker:
    """Runs jobs when they are due."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._due = dict.fromkeys(jobs, -math.inf)
        self._beside: dict[Job, threading.Thread] = {}

    def run(self, stop: Stop) -> None:
        """Run jobs until told to stop, which is noticed between any two of them."""
        while True:
            started = time.monotonic()
            for job in self._jobs:
                if stop.wait(0):
                    return
                self.run_if_due(job, timezone.now(), started)
            close_old_connections()
            if stop.wait(started + ROUND - time.monotonic()):
                return

    def run_if_due(self, job: Job, now: datetime, clock: float) -> None:
        """Run `job` at `now`. `clock` is monotonic, so that a clock set back delays nothing."""
        if clock < self._due[job]:
            return
        self._due[job] = clock + job.period
        if job.beside:
            self._start_beside(job, now, clock)
        else:
            self._run(job, now, clock)

    def _start_beside(self, job: Job, now: datetime, clock: float) -> None:
        """Unless it still runs. It ends with the worker, wherever it is: its steps commit whole."""
        running = self._beside.get(job)
        if running is None or not running.is_alive():
            thread = threading.Thread(target=self._run, args=(job, now, clock), daemon=True)
            self._beside[job] = thread
            thread.start()

    def _run(self, job: Job, now: datetime, clock: float) -> None:
        try:
            job.run(now)
        except Exception:
            logger.exception("The job %r failed and will be tried again.", job.name)
            self._due[job] = clock + min(job.period, RETRY)
            connection.close()  # it may be broken; the next job gets another one
        finally:
            if job.beside:
                connection.close()  # this thread's own
