"""How far a long command has come."""

import time

from django.core.management.base import OutputWrapper

# Seconds between two reports: a terminal's line is rewritten, a log gets a new line each time.
TERMINAL_INTERVAL = 0.2
LOG_INTERVAL = 5.0


class Progress:
    """Shows a growing count and its rate on `stream`, which is stderr."""

    def __init__(self, stream: OutputWrapper, unit: str, total: int | None = None) -> None:
        self._stream = stream
        self._unit = unit
        self._of = "" if total is None else f" of {total:,}"
        self._is_terminal = stream.isatty()
        self._interval = TERMINAL_INTERVAL if self._is_terminal else LOG_INTERVAL
        self._started = self._shown = time.monotonic()

    def show(self, done: int) -> None:
        """Tell how many are done, if it was not told a moment ago."""
        now = time.monotonic()
        if now - self._shown >= self._interval:
            self._shown = now
            self._write(self._report(done, now), ending="" if self._is_terminal else "\n")

    def note(self, text: str) -> None:
        """A line of its own."""
        self._write(text)

    def end(self, done: int) -> None:
        """Tell how many it were in the end."""
        self._write(self._report(done, time.monotonic()))

    def _report(self, done: int, now: float) -> str:
        rate = done / max(now - self._started, 0.001)
        return f"{done:,}{self._of} {self._unit}, {rate:,.0f} a second"

    def _write(self, text: str, ending: str = "\n") -> None:
        erased = "\r\033[K" if self._is_terminal else ""
        self._stream.write(erased + text, str, ending)  # `str`: not in the red of errors
        self._stream.flush()
