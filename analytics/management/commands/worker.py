"""`manage.py worker`: the background work, until told to stop."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from analytics.worker import JOBS, Stop, Worker

# While the database is down: a longer wait for it, in seconds, would delay stopping, and a pool
# that backs off would not see it return (measured: 25 s late after 35 s, and ever later).
_POOL = {"timeout": 1, "reconnect_timeout": 1}


class Command(BaseCommand):
    """Runs the jobs of analytics.worker; SIGTERM or Ctrl-C ends it after the present one."""

    help = (
        "Run the background jobs until SIGTERM or Ctrl-C. `serve` starts a worker of its own; "
        "more of them, also on other machines, do no harm."
    )
    requires_system_checks = ()  # `serve` has run them, and starts this again and again

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--stop-on-eof",
            action="store_true",
            help="also stop at the end of stdin: it comes when the program that started this "
            "one is gone, however it ended",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        settings.DATABASES["default"]["OPTIONS"]["pool"].update(_POOL)
        stop = Stop(on_eof=options["stop_on_eof"])
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop.set)
        Worker(JOBS).run(stop)
