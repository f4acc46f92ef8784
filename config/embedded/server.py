"""What a process does to use the embedded PostgreSQL, and to be done with it."""

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from django.db.utils import OperationalError

from config.embedded.home import PORT, SUPERUSER, Home, open_lock, try_lock

# Seconds. A start takes 0.2, the first one ever 0.8; a supervisor gives stopping up to 70.
_START_PATIENCE = 30
_STOP_PATIENCE = 90
_TICK = 0.05
_PROJECT = Path(__file__).resolve().parent.parent.parent
_LOG_LIMIT = 8 * 1024 * 1024
_TAIL = 12


class Server:
    """The server of one data folder, seen from one of the processes that use it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.home = Home(data_dir)
        self._mutex = threading.Lock()
        self._lock: int | None = None  # descriptor of users.lock, held while we use the server
        self._holder = 0
        self._launched = False
        self._recovering = False

    def ensure(self) -> None:
        """Return when the server accepts connections; in microseconds once it has done so.

        Raises OperationalError with the end of the server's log if it does not start.
        """
        try:
            with self._mutex:
                if self._lock is None:
                    self._join()
                else:  # our lock keeps a supervisor from leaving, not from being killed
                    self._supervise()
        except (OSError, subprocess.CalledProcessError) as error:
            raise OperationalError(f"the embedded database: {error}") from error

    def release(self) -> None:
        """Stop using the server. Unless others use it, it is gone when this returns."""
        # A process forked from the one that joined has inherited the lock with the rest; the
        # kernel drops its share when it ends.
        if self._lock is None or self._holder != os.getpid():
            return
        os.close(self._lock)
        self._lock = None
        self._until(
            lambda: self._unsupervised() or self._used_by_others(), "does not stop", _STOP_PATIENCE
        )

    def _join(self) -> None:
        self._launched = False
        self.home.make()
        lock = open_lock(self.home.users_lock)
        try:
            # In the way is only a supervisor that is stopping, with the lock to itself.
            self._until(
                lambda: try_lock(lock, exclusive=False), "is still stopping", _STOP_PATIENCE
            )
            self._until(self._accepts, "does not start", _START_PATIENCE)
        except BaseException:
            os.close(lock)
            raise
        self._lock, self._holder = lock, os.getpid()
        atexit.register(self.release)

    def _accepts(self) -> bool:
        if self._launched and self._unsupervised():
            raise self._failure("failed to start")
        self._supervise()
        address = f"port={PORT} user={SUPERUSER} dbname=postgres connect_timeout=5"
        try:
            psycopg.connect(address, host=str(self.home.sockets)).close()
        except psycopg.OperationalError as error:
            # After a crash the log is read again first, which may take minutes: keep waiting.
            self._recovering = "starting up" in str(error)
            return False
        self._recovering = False
        return True

    def _supervise(self) -> None:
        """Start a supervisor if there is none.

        Its lock is taken here and handed over, so that one of several newcomers starts it, and
        the lock is free from the moment the supervisor is gone, however it ended.
        """
        lock = open_lock(self.home.supervisor_lock)
        try:
            if try_lock(lock, exclusive=True):
                self._launch(lock)
        finally:
            os.close(lock)

    def _launch(self, lock: int) -> None:
        command = [sys.executable, "-m", "config.embedded.supervisor", str(self.data_dir)]
        if self.home.log.exists() and self.home.log.stat().st_size > _LOG_LIMIT:
            self.home.log.replace(self.home.log.with_suffix(".log.1"))
        with self.home.log.open("ab") as log:
            subprocess.run(
                command,
                check=True,
                cwd=_PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C is for us; the server goes when we are done
            )
        self._launched = True

    def _unsupervised(self) -> bool:
        lock = open_lock(self.home.supervisor_lock)
        try:
            return try_lock(lock, exclusive=True)
        finally:
            os.close(lock)

    def _used_by_others(self) -> bool:
        lock = open_lock(self.home.users_lock)
        try:
            # Nobody: the supervisor will see that as well. Exclusively taken: it has seen it.
            return not try_lock(lock, exclusive=True) and try_lock(lock, exclusive=False)
        finally:
            os.close(lock)

    def _until(self, done: Callable[[], bool], complaint: str, patience: float) -> None:
        deadline = time.monotonic() + patience
        while not done():
            if time.monotonic() > deadline and not self._recovering:
                raise self._failure(f"{complaint} after {patience} s")
            time.sleep(_TICK)

    def _failure(self, complaint: str) -> OperationalError:
        log = self.home.log
        end = log.read_text(errors="replace").splitlines()[-_TAIL:] if log.exists() else []
        shown = "\n".join(f"    {line}" for line in end)
        return OperationalError(f"the embedded database {complaint}; the end of {log}:\n{shown}")
