"""The same seeded events for every engine, made by DuckDB from the hash of their number.

Event i happens i/N of the way through the period: the log of a busy product arrives in order.
A session is 5 calls of one entity; entities are skewed (a few large customers, many small ones).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import duckdb

FIRST_DAY = date(2026, 8, 1)
TYPES = ("customer", "team", "project", "employee")

MODELS = (
    ("openai", "gpt-4o", "2.5", "1.25", "10"),
    ("openai", "gpt-4o-mini", "0.15", "0.075", "0.6"),
    ("openai", "gpt-4.1", "2", "0.5", "8"),
    ("openai", "gpt-4.1-mini", "0.4", "0.1", "1.6"),
    ("openai", "o3", "2", "0.5", "8"),
    ("openai", "gpt-5", "1.25", "0.125", "10"),
    ("openai", "gpt-5-mini", "0.25", "0.025", "2"),
    ("anthropic", "claude-haiku-4-5", "1", "0.1", "5"),
    ("anthropic", "claude-opus-4-1", "15", "1.5", "75"),
    ("google", "gemini-2.5-flash", "0.3", "0.03", "2.5"),
    ("google", "gemini-2.0-flash", "0.1", "0.025", "0.4"),
    ("mistral", "mistral-large-latest", "2", "2", "6"),
)
"""Provider, model, USD per million input, cached input and output tokens: the catalogue's."""


@dataclass(frozen=True)
class Shape:
    """How many events there are, and of how many kinds."""

    events: int
    days: int = 90
    entities: int = 1000
    tag_sets: int = 30
    unique_tag: bool = False
    """A tag whose value is different on every event."""

    @property
    def last_day(self) -> date:
        return FIRST_DAY + timedelta(days=self.days - 1)


COLUMNS = (
    "id, timestamp, provider, model, entity_type, entity_id, session_id, feature, env,"
    " input_tokens, output_tokens, cache_read_tokens, latency_ms, success, cost"
)
SENT = """
to_json(struct_pack(
    id := id, timestamp := strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%fZ'), provider := provider,
    model := model, entity_type := entity_type, entity_id := entity_id, session_id := session_id,
    tags := struct_pack(feature := feature, env := env), input_tokens := input_tokens,
    output_tokens := output_tokens, cache_read_tokens := cache_read_tokens,
    latency_ms := latency_ms, success := success
))::VARCHAR
"""
"""An event as a client sends it: without its cost."""


def make(database: duckdb.DuckDBPyConnection, shape: Shape) -> None:
    """Fill the table `event` of `database`."""
    database.execute(
        "CREATE TABLE model (number INT, provider VARCHAR, model VARCHAR, price_in DECIMAL(12, 6),"
        " price_cached DECIMAL(12, 6), price_out DECIMAL(12, 6))"
    )
    rows = [(number, *model) for number, model in enumerate(MODELS)]
    database.executemany("INSERT INTO model VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.execute(f"CREATE TABLE event AS {_select(shape, range(shape.events))}")


def add_late(database: duckdb.DuckDBPyConnection, shape: Shape, count: int) -> None:
    """Put `count` more events of the last 31 days into `event` and, alone, into `late`."""
    numbers = range(shape.events, shape.events + count)
    last = replace(shape, events=count, days=31)
    start = shape.last_day - timedelta(days=30)
    database.execute(f"CREATE TABLE late AS {_select(last, numbers, start)}")
    database.execute("INSERT INTO event FROM late")


def bodies(database: duckdb.DuckDBPyConnection, size: int, table: str = "event") -> Iterator[bytes]:
    """The events of a table as NDJSON, `size` a body, in the order they happened."""
    cursor = database.cursor()
    cursor.execute(f"SELECT {SENT} FROM {table} ORDER BY timestamp, id")
    while rows := cursor.fetchmany(size):
        yield "\n".join(text for (text,) in rows).encode()


def _select(shape: Shape, numbers: range, start: date = FIRST_DAY) -> str:
    first, last = numbers.start, numbers.stop
    step = shape.days * 24 * 3600 * 1_000_000 // shape.events  # microseconds
    feature = (
        "md5(i::varchar)"
        if shape.unique_tag
        else f"'feature-' || (hash(i, 3) % {shape.tag_sets // 5})"
    )
    return f"""
        WITH number AS (
            SELECT i, (i // 50) * 10 + i % 10 AS session,
                   -- The square of a uniform number: entity 0 has 30 times the calls of entity 900.
                   floor({shape.entities} * pow(hash((i // 50) * 10 + i % 10, 1) % 1000000 / 1e6, 2)
                   )::INT AS entity,
                   (hash(i, 2) % {len(MODELS)})::INT AS number,
                   (200 + hash(i, 4) % 4000)::BIGINT AS input_tokens,
                   (20 + hash(i, 5) % 1200)::BIGINT AS output_tokens
            FROM range({first}, {last}) AS numbers (i)
        ), counted AS (
            SELECT *, CASE WHEN i % 3 = 0 THEN input_tokens // 2 ELSE 0 END AS cache_read_tokens
            FROM number
        )
        SELECT lower(hex(i) || md5(i::varchar))[:32] AS id,
               TIMESTAMP '{start}' + to_microseconds((i - {first}) * {step}) AS timestamp,
               provider, model,
               ['{"', '".join(TYPES)}'][entity % {len(TYPES)} + 1] AS entity_type,
               'entity-' || entity AS entity_id,
               'session-' || md5(session::varchar)[:20] AS session_id,
               {feature} AS feature, 'env-' || (hash(i, 6) % 5) AS env,
               input_tokens, output_tokens, cache_read_tokens,
               (300 + output_tokens * 3 + hash(i, 7) % 500)::BIGINT AS latency_ms,
               hash(i, 8) % 100 > 0 AS success,
               (((input_tokens - cache_read_tokens) * price_in + cache_read_tokens * price_cached
                + output_tokens * price_out) * 0.000001)::DECIMAL(24, 10) AS cost
        FROM counted JOIN model USING (number)
    """
