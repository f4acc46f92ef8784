"""Counts that all web processes share in memory, for /metrics."""

import mmap
import os
from collections.abc import Hashable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from events.outcome import CONFLICT, CREATED, DUPLICATE, REJECTED

Name = TypeVar("Name", bound=Hashable)

_ROWS = 256


class Tally(Generic[Name]):
    """A number for each of some names, added to by any process that was forked after it was made.

    Each process adds to a row of its own and all rows are summed up, as a lock between processes
    could be held by one that was killed. Two whose ids share a row may, rarely, lose a count.
    """

    def __init__(self, names: Sequence[Name]) -> None:
        self._columns = {name: column for column, name in enumerate(names)}
        self._cells = memoryview(mmap.mmap(-1, _ROWS * len(names) * 8)).cast("d")
        self._lock = Lock()

    def add(self, name: Name, amount: float = 1) -> None:
        """Add to the number of `name`."""
        cell = os.getpid() % _ROWS * len(self._columns) + self._columns[name]
        with self._lock:
            self._cells[cell] += amount

    def totals(self) -> dict[Name, float]:
        """Each name's number, over all processes since the server started."""
        width = len(self._columns)
        return {name: sum(self._cells[at::width]) for name, at in self._columns.items()}


OUTCOMES = Tally((CREATED, DUPLICATE, CONFLICT, REJECTED))
"""Events that were sent over HTTP, by what became of them."""
