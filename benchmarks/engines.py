"""The same questions to the product, DuckDB and ClickHouse: first equal, then timed in turn."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import Shape
from benchmarks.product import Product
from benchmarks.questions import Question, comparable, for_clickhouse, questions
from benchmarks.report import median, p95, say


@dataclass(frozen=True)
class Engines:
    """Databases in this process that hold the same events; `clickhouse` may be absent."""

    duckdb: Any
    clickhouse: Any = None


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
    parquet.unlink()
    return clickhouse


def compare(product: Product, engines: Engines, shape: Shape, runs: int) -> None:
    """Each question to each engine; prints medians and ratios."""
    say(f"\n{'median ms of ' + str(runs):30} {'ours':>8} {'p95':>8} {'DuckDB':>8} {'ratio':>6}"
        f" {'ClickHouse':>11} {'ratio':>6}")  # fmt: skip
    for question in questions(shape):
        say(_line(question, product, engines, runs))


def ask(product: Product, engines: Engines, shape: Shape, runs: int) -> dict[str, float]:
    """Our medians in ms, of answers that equal DuckDB's."""
    connection = product.connect()
    medians = {}
    for question in questions(shape):
        check(question, product, connection, engines)
        medians[question.name] = median(
            [timed(lambda: product.fetch(connection, question.path)) for _ in range(runs)]  # noqa: B023
        )
    return medians


def check(question: Question, product: Product, connection: Any, engines: Engines) -> None:
    """Exits if the answers differ."""
    expected = comparable(engines.duckdb.execute(question.sql).fetchall())
    answer = comparable(question.rows(product.get(connection, question.path)))
    if answer != expected:
        raise SystemExit(f"{question.name}: {_difference(answer, expected)}")


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds that `work` takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def second(work: Callable[[], Any]) -> float:
    """Milliseconds that `work` takes the second time."""
    work()
    return timed(work)


def _line(question: Question, product: Product, engines: Engines, runs: int) -> str:
    """One line of the table.

    The engines take turns, so that a slow moment is everybody's; each is asked twice and timed
    once, as the one before it leaves it a cold processor cache.
    """
    connection = product.connect()
    check(question, product, connection, engines)
    ours: list[float] = []
    duck: list[float] = []
    house: list[float] = []
    spelt = for_clickhouse(question.sql)
    for _ in range(runs):
        ours.append(second(lambda: product.fetch(connection, question.path)))
        duck.append(second(lambda: engines.duckdb.execute(question.sql).fetchall()))
        if engines.clickhouse:
            house.append(second(lambda: engines.clickhouse.query(spelt, "CSV")))
    mine = median(ours)
    line = f"{question.name:30} {mine:8.1f} {p95(ours):8.1f}"
    for width, theirs in ((8, duck), (11, house)):
        if theirs:
            line += f" {median(theirs):{width}.1f} {mine / median(theirs):6.2f}"
    return line


def _difference(answer: list[Any], expected: list[Any]) -> str:
    for mine, theirs in zip(answer, expected, strict=False):
        if mine != theirs:
            return f"ours {mine}, DuckDB's {theirs}"
    return f"ours {len(answer)} rows, DuckDB's {len(expected)}"
