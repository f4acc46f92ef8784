"""Ingest over HTTP beside raw COPY of the same rows; bytes on disk; a tag set an event."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import duckdb

from benchmarks import data
from benchmarks.product import Product
from benchmarks.report import say

RAW_EVENTS = 500_000
SINGLES = 2_000
UNIQUE = 100_000


def load(product: Product, database: Any, shape: data.Shape, batch: int) -> float:
    """Every event over HTTP while the worker rolls up; returns events a second."""
    with _watching_tail(product) as longest:
        seconds = product.send(data.bodies(database, batch))
        rate = shape.events / seconds
    say(f"Ingest over HTTP, {batch} a batch: {rate:,.0f} events/s")
    say(f"  the tail was at most {longest[0]:,} events long: {longest[0] / rate:.1f} s of ingest")
    say(f"  and was rolled up {product.await_tail():.1f} s after the last event")
    product.database.execute("VACUUM ANALYZE")
    return rate


def raw_copy(product: Product, batch: int, rate: float) -> None:
    """COPY of the log's own rows into tables like it, a batch a transaction, beside our rate."""
    chunks = list(_stored(product, batch))
    events = sum(chunk.count(b"\n") for chunk in chunks)
    for name, indexes in (("bare", "EXCLUDING"), ("with the log's indexes", "INCLUDING")):
        product.query(f"CREATE TABLE raw (LIKE events_event {indexes} INDEXES)")
        started = time.perf_counter()
        for chunk in chunks:
            with product.database.cursor() as cursor, cursor.copy("COPY raw FROM STDIN") as copy:
                copy.write(chunk)
        raw = events / (time.perf_counter() - started)
        product.query("DROP TABLE raw")
        say(f"  raw COPY of the same rows, {name}: {raw:,.0f} events/s; ratio {rate / raw:.2f}")


def singles(product: Product, database: Any) -> None:
    """Single events, one a request, for an account of their own."""
    product.use("Singles")
    bodies = [body for _, body in zip(range(SINGLES), data.bodies(database, 1), strict=False)]
    seconds = product.send(bodies, "application/json")
    say(f"Single events: {SINGLES / seconds:,.0f} requests/s")


def unique_tags(product: Product, shape: data.Shape) -> None:
    """An account whose events each have a tag of their own, beside one whose events have not."""
    for name, unique in (("Few tag sets", False), ("A tag set an event", True)):
        with duckdb.connect() as own:
            data.make(own, replace(shape, events=UNIQUE, unique_tag=unique))
            product.use(name)
            rate = UNIQUE / product.send(data.bodies(own, 1000))
            rolled = product.await_tail()
            _check_tags(product, own, shape)
        say(f"{name}: {rate:,.0f} events/s, rolled up {rolled:.1f} s later")


def sizes(product: Product, shape: data.Shape) -> None:
    """Bytes an event of each part on disk, indexes apart."""
    rows = product.query(
        """
        SELECT CASE WHEN c.relkind = 'i' THEN 'index ' ELSE '' END
               || regexp_replace(c.relname, '_20[0-9_]+', ''), sum(pg_relation_size(c.oid))
        FROM pg_class c WHERE c.relname LIKE '%event%' OR c.relname ~ 'day_|hour_|quarter|session'
        GROUP BY 1 HAVING sum(pg_relation_size(c.oid)) > 0 ORDER BY 2 DESC
        """
    )
    say("\nbytes an event on disk")
    for name, size in rows[:20]:
        say(f"  {name:45} {float(size) / shape.events:8.1f}")
    say(f"  {'together':45} {sum(float(size) for _, size in rows) / shape.events:8.1f}")


def _stored(product: Product, batch: int) -> Iterator[bytes]:
    """Rows of the log as COPY writes them, a batch a chunk."""
    some = f"COPY (SELECT * FROM events_event LIMIT {RAW_EVENTS}) TO STDOUT"
    rows: list[bytes] = []
    with product.database.cursor() as cursor, cursor.copy(some) as copy:
        for row in copy:
            rows.append(bytes(row))
            if len(rows) == batch:
                yield b"".join(rows)
                rows.clear()
    yield b"".join(rows)


def _check_tags(product: Product, database: Any, shape: data.Shape) -> None:
    """The most expensive tags are those that DuckDB finds."""
    path = (
        f"/v1/analytics/costs?start_date={data.FIRST_DAY}&end_date={shape.last_day}"
        "&group_by=tags.feature&limit=10"
    )
    body = json.loads(product.fetch(product.connect(), path), parse_float=float)
    expected = database.execute(
        "SELECT feature, sum(cost)::DOUBLE FROM event GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"
    ).fetchall()
    found = [(row["tags.feature"], row["total_cost"]) for row in body["data"]]
    if found != expected:
        raise SystemExit(f"by tag: ours {found}, DuckDB's {expected}")


@contextmanager
def _watching_tail(product: Product) -> Iterator[list[int]]:
    """The longest tail in events, looked at twice a second."""
    longest, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            longest[0] = max(longest[0], product.pending())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield longest
    finally:
        over.set()
        watcher.join()
