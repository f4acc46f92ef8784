"""Runs PostgreSQL for one data folder as long as any process uses it.

Started by config.embedded.server with the descriptor of the held supervisor.lock, so there is
never a second one. Ends by itself; on SIGTERM it stops the server whoever uses it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from config.embedded import postgres
from config.embedded.home import Home, open_lock, try_lock

_TICK = 0.1
_TRIES = 3
_PAUSE = 0.5


class Supervisor:
    """One server process, started again whenever it dies."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.users = open_lock(home.users_lock)
        self.child: subprocess.Popen[bytes] | None = None
        self.log_mark = 0
        self.failures = 0
        self.stopping = False

    def run(self) -> int:
        """Serve until nobody is left; 0, or 1 if the server does not start."""
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._on_signal)
        self.home.make()  # the last one, while stopping, may have cleared what our user made
        try:
            return self._serve()
        finally:
            self.home.clear()

    def _serve(self) -> int:
        if not self.home.data.exists():
            postgres.initialise(self.home)
        while not self.stopping and not self._deserted():
            if self._server() is None:
                if self.failures == _TRIES:
                    return 1
                self._start()
            time.sleep(_TICK)
        self._stop()
        return 0

    def _deserted(self) -> bool:
        # From here on the lock is ours and stays so until this process ends: a newcomer waits
        # for that, then finds no supervisor and no server, and starts both.
        return try_lock(self.users, exclusive=True)

    def _server(self) -> int | None:
        """Process id of the server: our child, or one that a killed supervisor left behind."""
        if self.child is not None and self.child.poll() is None:
            return self.child.pid
        return postgres.postmaster(self.home)

    def _start(self) -> None:
        if self.child is not None:
            self._judge()
            time.sleep(_PAUSE)
        self.log_mark = self.home.log.stat().st_size
        self.child = postgres.start(self.home)

    def _judge(self) -> None:
        """Count a server that ended before it was ready, unless it waits for the last one's."""
        with self.home.log.open("rb") as log:
            log.seek(self.log_mark)
            said = log.read()
        if b"is ready to accept connections" in said:
            self.failures = 0
        # Backends of a killed server run on until their query ends: it may take minutes.
        elif b"is still in use" not in said:
            self.failures += 1

    def _stop(self) -> None:
        """Fast; if that takes over a minute, as in a crash, which the next start repairs."""
        for kind, patience in ((signal.SIGINT, 60), (signal.SIGQUIT, 10)):
            deadline = time.monotonic() + patience
            if server := self._server():
                os.kill(server, kind)
            while self._server() is not None and time.monotonic() < deadline:
                time.sleep(_TICK / 5)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True


def main() -> None:
    """Supervise the data folder named on the command line, in a process that is nobody's child."""
    if os.fork():
        os._exit(0)  # whoever launched us goes on, and has no zombie to care for later
    try:
        sys.exit(Supervisor(Home(Path(sys.argv[1]))).run())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"costprism: {error}")


if __name__ == "__main__":
    main()
