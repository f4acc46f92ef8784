"""`manage.py serve`: web server, background worker and, if none is configured, a database."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.wsgi import get_wsgi_application
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from apikeys.management.database import migrate
from config.pools import disconnect
from config.webserver import Log, WebProcess

# Above that many processes the database is what is busy.
_MOST_PROCESSES = 8
# More than work at once: some wait for slow clients. The embedded database lets 8 x 8 connect.
_THREADS = 8
# Web processes show there that they live; on a busy disk that could take too long.
_MEMORY = "/dev/shm"  # noqa: S108
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_PAUSE = 3  # seconds before a worker that ended is started again
_PATIENCE = 30  # seconds that requests in flight, and the worker's step, have to end
# A client may stall that long, as it does when it changes from Wi-Fi to mobile; then its thread is
# for others.
_STALL = 30


class Command(BaseCommand):
    """Serves HTTP until SIGTERM or Ctrl-C; then finishes what is in flight and stops it all."""

    help = "Serve the API, the admin and the docs, with the background worker beside them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        processes = min(_cores(), _MOST_PROCESSES)
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="0 takes any free port")
        parser.add_argument(
            "--processes",
            type=positive,
            default=processes,
            metavar="N",
            help="default: %(default)s",
        )
        parser.add_argument(
            "--threads",
            type=positive,
            default=_THREADS,
            metavar="N",
            help="a process; default: %(default)s",
        )
        parser.add_argument(
            "--timeout",
            type=positive,
            default=_STALL,
            metavar="SECONDS",
            help="cut a client that neither sends nor reads for so long; default: %(default)s",
        )
        parser.add_argument(
            "--no-worker", action="store_true", help="do not run `manage.py worker` beside it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop. Raises CommandError if the address is taken; else exits."""
        listener = listen(options["host"], options["port"])
        if settings.EMBEDDED:
            migrate(options["verbosity"] - 1)
        disconnect()
        _widen_pool(options["threads"])
        _divide_failures(options["processes"])
        worker = Worker(wanted=not options["no_worker"])
        host, port = listener.getsockname()[:2]
        ready = f"Costprism is ready at http://{f'[{host}]' if ':' in host else host}:{port}"
        Parent(WebServer(listener, options), worker, ready).run()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CommandError when the address cannot be had."""
    if not 0 <= port <= 65535:  # getaddrinfo would take the remainder
        raise CommandError(f"cannot listen on {host}:{port}: ports are 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error}") from error


class Worker:
    """The background worker: a process of its own, started again when it ends."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._process: subprocess.Popen[bytes] | None = None
        self._started = -math.inf

    def keep(self) -> None:
        """Start it if it does not run, but not more often than every few seconds."""
        running = self._process is not None and self._process.poll() is None
        if running or not self._wanted or time.monotonic() < self._started + _PAUSE:
            return
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(settings.BASE_DIR, "manage.py")), "worker", "--stop-on-eof"],
            # Its end of file tells the worker that we are gone, even by kill -9.
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for us; the worker goes last
        )

    def forget(self) -> None:
        """Drop our end of its pipe: called in each web process, which inherits it by fork."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def tell(self) -> None:
        """Ask it to end when its present step is finished."""
        self.forget()
        if self._process is not None:
            self._process.terminate()

    def wait(self) -> None:
        """Return when it has ended, or been made to."""
        if self._process is None:
            return
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class WebServer(BaseApplication):  # type: ignore[misc]
    """Gunicorn, told what it needs here instead of on a command line."""

    def __init__(self, listener: socket.socket, options: dict[str, Any]) -> None:
        self._listener = listener
        self._options = options
        self.timeout: int = options["timeout"]  # read by WebProcess
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        chosen = {
            "bind": f"fd://{self._listener.detach()}",
            "worker_class": WebProcess,
            "workers": self._options["processes"],
            "threads": self._options["threads"],
            "preload_app": True,  # one import for all, and errors in it show at once
            "loglevel": "warning",
            "logger_class": Log,
            "graceful_timeout": _PATIENCE,
            "keepalive": 75,  # longer than a proxy keeps its side; idle ones hold no thread
            "limit_request_line": 8190,  # gunicorn's most; filters on tags make long addresses
            "worker_tmp_dir": _MEMORY if Path(_MEMORY).is_dir() else None,
            "forwarded_allow_ips": "*" if settings.BEHIND_TLS_PROXY else "127.0.0.1,::1",
            "control_socket_disable": True,
            "post_fork": _forget_worker,
            "post_worker_init": _listen_to_signals,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The application that gunicorn calls."""
        return get_wsgi_application()


class Parent(Arbiter):  # type: ignore[misc]
    """Gunicorn's parent process, which looks after the background worker too.

    Both in its one loop: a thread of ours beside it would be lost, or hang, in every fork.
    """

    def __init__(self, app: WebServer, worker: Worker, ready: str) -> None:
        self._worker = worker
        self._ready = ready
        super().__init__(app)

    def start(self) -> None:
        """Open for business."""
        super().start()
        print(self._ready, flush=True)

    def manage_workers(self) -> None:
        """Keep the web processes and the background worker running; called every second."""
        super().manage_workers()
        self._worker.keep()

    def spawn_worker(self) -> Any:
        """Fork a web process with signals held back until it has its own handlers.

        One that came before would be lost in the parent's, and stopping then take the whole
        of graceful_timeout: seen once in ten starts under load.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)

    def handle_int(self) -> None:
        """Ctrl-C lets requests finish, as SIGTERM does; a second one does not."""
        self.handle_term()

    def handle_hup(self) -> None:
        """A closed terminal ends us; there is no configuration to read again."""
        self.handle_term()

    def handle_usr2(self) -> None:
        """Gunicorn would start a second program on our socket; ours could not use it."""

    def stop(self, graceful: bool = True) -> None:
        """Stop the web processes and the background worker, both at once."""
        self._worker.tell()
        try:
            super().stop(graceful)
        finally:
            self._worker.wait()

    def forget_worker(self) -> None:
        """In a web process just forked: leave the background worker to the parent."""
        self._worker.forget()


def _forget_worker(arbiter: Parent, worker: Any) -> None:
    arbiter.forget_worker()


def _listen_to_signals(worker: Any) -> None:
    """In a web process that has set its handlers: leave Ctrl-C, sent to all, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker's own would drop its requests
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _widen_pool(threads: int) -> None:
    """Let every thread have a connection."""
    pool = settings.DATABASES["default"]["OPTIONS"]["pool"]
    pool["max_size"] = max(pool["max_size"], threads)


def _divide_failures(processes: int) -> None:
    """Let an address fail no more often because there are several of us, who count apart."""
    settings.BAD_KEYS_PER_MINUTE = max(1, settings.BAD_KEYS_PER_MINUTE // processes)


def _cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def positive(text: str) -> int:
    """An option's whole number of at least 1. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)
