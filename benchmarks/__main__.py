"""`make bench`: the product beside DuckDB and ClickHouse, in one run, on the same rows.

Ours is asked over HTTP, theirs by SQL inside this process. Every answer is compared before it is
timed. Nothing here fails by the clock: it prints medians and ratios.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import data
from benchmarks.product import Product, manage, query, running
from benchmarks.questions import Question, comparable, for_clickhouse, questions


def main() -> None:
    """Run the benchmark with the options of the command line."""
    options = _options()
    shape = data.Shape(
        options.events, options.days, options.entities, options.tag_sets, options.unique_tag
    )
    database = duckdb.connect()
    say(f"Making {shape.events:,} events over {shape.days} days")
    data.make(database, shape)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home = Path(folder)
        with running(home / "product") as product:
            ingest(product, database, shape, options.batch)
            await_tail(home / "product")
            clickhouse = None if options.no_clickhouse else load_clickhouse(database, home)
            compare(product, database, clickhouse, shape, options.runs)
            sizes(home / "product", shape)
        manage(home / "product", "verify_rollups", quiet=True)
        say("verify_rollups: rollups + tail = log")


def ingest(product: Product, database: Any, shape: data.Shape, batch: int) -> None:
    """Every event over HTTP, in NDJSON batches."""
    seconds = product.send(bodies(database, batch))
    say(f"\nIngest over HTTP, {batch} a batch: {shape.events / seconds:,.0f} events/s")


def bodies(database: Any, batch: int) -> Iterator[bytes]:
    """The events as NDJSON bodies."""
    for events in data.events(database, batch):
        yield "\n".join(json.dumps(event) for event in events).encode()


def await_tail(home: Path) -> None:
    """Wait until everything is rolled up; say how long that took."""
    started = time.perf_counter()
    while query(home, "SELECT count(*) FROM events_pendingbatch") != [["0"]]:
        time.sleep(0.2)
    say(f"Rolled up {time.perf_counter() - started:.1f} s after the last event")
    query(home, "VACUUM ANALYZE")


def load_clickhouse(database: Any, home: Path) -> Any:
    """The same rows in ClickHouse, in this process."""
    from chdb import session

    clickhouse = session.Session(str(home / "clickhouse"))
    parquet = home / "event.parquet"
    database.execute(f"COPY event TO '{parquet}' (FORMAT parquet)")
    clickhouse.query("CREATE DATABASE bench")
    clickhouse.query("USE bench")
    clickhouse.query(
        "CREATE TABLE event ENGINE = MergeTree ORDER BY timestamp"
        f" SETTINGS allow_nullable_key = 1 AS SELECT * FROM file('{parquet}')"
    )
    return clickhouse


def compare(product: Product, database: Any, clickhouse: Any, shape: data.Shape, runs: int) -> None:
    """Each question to each engine: first equal, then timed in turn."""
    connection = product.connect()
    say(f"\n{'median ms of ' + str(runs):30} {'ours':>8} {'p95':>8} {'DuckDB':>8} {'ratio':>6}"
        f" {'ClickHouse':>11} {'ratio':>6}")  # fmt: skip
    for question in questions(shape):
        expected = comparable(database.execute(question.sql).fetchall())
        answer = comparable(question.rows(product.get(connection, question.path)))
        if answer != expected:
            raise SystemExit(f"{question.name}: {_difference(answer, expected)}")
        row = measured(question, product, connection, database, clickhouse, runs)
        say(row)


def measured(
    question: Question, product: Product, connection: Any, database: Any, clickhouse: Any, runs: int
) -> str:
    """One line of the table; the engines take turns, so that a slow moment is everybody's."""
    ours: list[float] = []
    duck: list[float] = []
    house: list[float] = []
    spelt = for_clickhouse(question.sql)
    for _ in range(runs):
        ours.append(timed(lambda: product.fetch(connection, question.path)))
        duck.append(timed(lambda: database.execute(question.sql).fetchall()))
        if clickhouse:
            house.append(timed(lambda: clickhouse.query(spelt, "CSV")))
    mine, theirs = statistics.median(ours), statistics.median(duck)
    p95 = sorted(ours)[int(len(ours) * 0.95)]
    line = f"{question.name:30} {mine:8.1f} {p95:8.1f} {theirs:8.1f} {mine / theirs:6.2f}"
    if house:
        other = statistics.median(house)
        line += f" {other:11.1f} {mine / other:6.2f}"
    return line


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds that `work` takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def sizes(home: Path, shape: data.Shape) -> None:
    """Bytes an event of each part on disk, indexes with their tables."""
    rows = query(
        home,
        """
        SELECT CASE WHEN c.relkind = 'i' THEN 'index ' ELSE '' END
               || regexp_replace(c.relname, '_20[0-9_]+', ''), sum(pg_relation_size(c.oid))
        FROM pg_class c WHERE c.relname LIKE '%event%' OR c.relname ~ 'day_|hour_|quarter_|session'
        GROUP BY 1 HAVING sum(pg_relation_size(c.oid)) > 0 ORDER BY 2 DESC
        """,
    )
    say("\nbytes an event on disk")
    for name, size in rows[:16]:
        say(f"  {name:45} {int(size) / shape.events:8.1f}")
    say(f"  {'together':45} {sum(int(size) for _, size in rows) / shape.events:8.1f}")


def say(line: str) -> None:
    """Print at once: a run takes minutes."""
    print(line, flush=True)


def _difference(answer: list[Any], expected: list[Any]) -> str:
    for mine, theirs in zip(answer, expected, strict=False):
        if mine != theirs:
            return f"ours {mine}, DuckDB's {theirs}"
    return f"ours {len(answer)} rows, DuckDB's {len(expected)}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--entities", type=int, default=1000)
    parser.add_argument("--tag-sets", type=int, default=30)
    parser.add_argument("--unique-tag", action="store_true", help="a tag unique to each event")
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--folder", help="where to keep the data meanwhile (default: temporary)")
    parser.add_argument("--no-clickhouse", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
