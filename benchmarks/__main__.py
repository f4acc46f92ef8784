"""`make bench`: the product beside DuckDB and ClickHouse, in one run, on the same rows.

Ours is asked over HTTP, theirs by SQL inside this process. Every answer is compared before it is
timed. Nothing here fails by the clock: it prints medians and ratios.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import data, ingest
from benchmarks.engines import Engines, ask, compare, load_clickhouse
from benchmarks.product import manage, running
from benchmarks.report import machine, say

GROWTH = 10


def main() -> None:
    """Run the benchmark with the options of the command line."""
    options = _options()
    shape = data.Shape(options.events, options.days, options.entities, options.tag_sets)
    say(f"{machine()}; {shape}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home = Path(folder)
        smaller = None if options.no_growth else small(home, shape, options)
        with duckdb.connect(str(home / "duckdb")) as database:
            say(f"\nMaking {shape.events:,} events over {shape.days} days")
            data.make(database, shape)
            medians = whole(home, database, shape, options)
            if smaller:
                growth(smaller, medians)
            tail(home / "product", database, shape, medians, options)
        say(manage(home / "product", "verify_rollups").splitlines()[-1])


def small(home: Path, shape: data.Shape, options: Any) -> dict[str, float]:
    """Our medians over a tenth of the events."""
    shape = replace(shape, events=shape.events // GROWTH)
    say(f"\nFirst a tenth: {shape.events:,} events")
    with duckdb.connect() as database, running(home / "small") as product:
        data.make(database, shape)
        ingest.load(product, database, shape, options.batch)
        return ask(product, Engines(database), shape, options.runs)


def whole(home: Path, database: Any, shape: data.Shape, options: Any) -> dict[str, float]:
    """Ingest, the bytes, the questions; returns our medians while nothing else is asked."""
    with running(home / "product") as product:
        rate = ingest.load(product, database, shape, options.batch)
        ingest.raw_copy(product, options.batch, rate)
        ingest.sizes(product, shape)
        medians = ask(product, Engines(database), shape, options.runs)
        clickhouse = None if options.no_clickhouse else load_clickhouse(database, home)
        compare(product, Engines(database, clickhouse), shape, options.runs)
        say("")
        ingest.singles(product, database)
        ingest.unique_tags(product, shape)
    return medians


def growth(smaller: dict[str, float], medians: dict[str, float]) -> None:
    """How much longer each question takes over ten times the events."""
    say(f"\n{'from a tenth to the whole':30} {'ms':>8} {'ms':>8} {'ratio':>6}")
    for name, before in smaller.items():
        say(f"{name:30} {before:8.1f} {medians[name]:8.1f} {medians[name] / before:6.2f}")


def tail(
    home: Path, database: Any, shape: data.Shape, medians: dict[str, float], options: Any
) -> None:
    """The same questions with late events in the tail; then how fast they are rolled up."""
    data.add_late(database, shape, options.tail)
    with running(home, worker=False) as product:
        product.send(data.bodies(database, options.batch, "late"))
        found = ask(product, Engines(database), shape, options.runs)
    say(f"\n{f'with {options.tail:,} in the tail':30} {'ms':>8} {'more':>8}")
    for name, took in found.items():
        say(f"{name:30} {took:8.1f} {took - medians[name]:8.1f}")
    with running(home) as product:
        seconds = product.await_tail()
    say(f"Rolled up: {options.tail / seconds:,.0f} events/s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--entities", type=int, default=1000)
    parser.add_argument("--tag-sets", type=int, default=30)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--tail", type=int, default=100_000, help="events that are not rolled up")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--folder", help="where to keep the data meanwhile (default: temporary)")
    parser.add_argument("--no-clickhouse", action="store_true")
    parser.add_argument("--no-growth", action="store_true", help="leave out the tenth before it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
