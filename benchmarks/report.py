"""What the benchmark prints."""

import os
import statistics


def say(line: str) -> None:
    """Print at once: a run takes minutes."""
    print(line, flush=True)


def machine() -> str:
    """The hardware, as far as it can be told."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB of memory"


def p95(times: list[float]) -> float:
    """The 95th percentile, by the nearest rank."""
    return sorted(times)[max(0, -(-len(times) * 95 // 100) - 1)]


def median(times: list[float]) -> float:
    """The median; 0 of none."""
    return statistics.median(times) if times else 0.0
