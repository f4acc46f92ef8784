"""The one write path: every event that is stored is stored by `record_events`.

One transaction writes the keys (who was here before), the log and the pending batch; a caller
that is told "created" is told so after its commit.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from django.db import IntegrityError, connection, transaction
from psycopg.errors import CheckViolation

from events import dimensions, partitions, pricing
from events.models import NONE, CostSource
from events.rules import FieldError
from events.schema import InvalidEvent, NewEvent

CREATED = "created"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
REJECTED = "rejected"

# Sorted: two batches that insert the same keys in another order would wait for each other.
INSERT_KEYS_SQL = """
INSERT INTO events_eventkey (account_id, digest, content, timestamp)
SELECT %s, digest, content, timestamp
FROM unnest(%s::bytea[], %s::bytea[], %s::timestamptz[]) AS sent (digest, content, timestamp)
ORDER BY digest
ON CONFLICT DO NOTHING
RETURNING digest
"""

# READ COMMITTED: this statement sees the keys that the insert above waited for.
FIND_KEYS_SQL = """
SELECT digest, content FROM events_eventkey WHERE account_id = %s AND digest = ANY(%s::bytea[])
"""

INSERT_BATCH_SQL = """
INSERT INTO events_pendingbatch (account_id, events, first_timestamp, last_timestamp, received_at)
VALUES (%s, %s, %s, %s, %s) RETURNING id
"""

COLUMNS = (
    "timestamp, batch_id, tag_set_id, input_tokens, output_tokens, cache_read_tokens,"
    " cache_write_tokens, reasoning_tokens, latency_ms, account_id, entity_id, model_id,"
    " cost_source, success, cost, id, session_id, error_type, error_code"
)
COPY_SQL = f"COPY events_event ({COLUMNS}) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item that was sent."""

    id: str | None
    status: str
    errors: Sequence[FieldError] = ()


class NotAllAccepted(Exception):
    """An atomic batch held a conflict or an invalid event; nothing of it was stored."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__(outcomes)
        self.outcomes = outcomes


@dataclass(frozen=True, slots=True)
class _Fact:
    """An event with its id and its cost in USD, ready to be written."""

    id: str
    digest: bytes
    event: NewEvent
    cost: Decimal | None
    cost_source: int


def record_events(
    account_id: int,
    items: Sequence[NewEvent | InvalidEvent],
    *,
    received_at: datetime,
    idempotency_key: str | None = None,
    atomic: bool = False,
) -> list[Outcome]:
    """Store the valid events that are new; answer for every item, in order.

    An event without an id gets a random one, or with an `idempotency_key` one that follows from
    the key and the item's index. Returns after the commit. Raises NotAllAccepted if `atomic`
    and any item is in conflict or invalid; then nothing was stored.
    """
    facts = {
        index: _fact(item, index, idempotency_key)
        for index, item in enumerate(items)
        if isinstance(item, NewEvent)
    }
    if atomic and len(facts) < len(items):
        raise NotAllAccepted(_outcomes(items, facts, {}))
    try:
        return _store(account_id, items, facts, received_at, atomic)
    except IntegrityError as error:
        if not isinstance(error.__cause__, CheckViolation):
            raise
        # Retention has dropped a partition that we remember; a late event makes it anew.
        partitions.forget()
        return _store(account_id, items, facts, received_at, atomic)


def _store(
    account_id: int,
    items: Sequence[NewEvent | InvalidEvent],
    facts: dict[int, _Fact],
    received_at: datetime,
    atomic: bool,
) -> list[Outcome]:
    rows = _Rows(account_id, [fact.event for fact in facts.values()])
    with transaction.atomic(durable=True):
        statuses = _claim(account_id, facts)
        outcomes = _outcomes(items, facts, statuses)
        if atomic and any(outcome.status == CONFLICT for outcome in outcomes):
            raise NotAllAccepted(outcomes)
        created = [fact for index, fact in facts.items() if statuses[index] == CREATED]
        if created:
            rows.write(created, received_at)
    return outcomes


def _fact(event: NewEvent, index: int, idempotency_key: str | None) -> _Fact:
    id_ = event.id
    if id_ is None and idempotency_key is None:
        id_ = f"evt_{secrets.token_hex(16)}"
    elif id_ is None:
        id_ = f"evt_{id_digest(f'{index} {idempotency_key}').hex()}"
    return _Fact(id_, id_digest(id_), event, *_cost(event))


def id_digest(id_: str) -> bytes:
    """The 16 bytes under which an event's id is kept for ever."""
    return blake2b(id_.encode(), digest_size=16).digest()


def _claim(account_id: int, facts: dict[int, _Fact]) -> dict[int, str]:
    """Take the keys that are free; say of each fact whether it is new, here or in conflict.

    Of a repeat inside the batch the first one counts; the others are held against it.
    """
    first: dict[bytes, int] = {}
    for index, fact in facts.items():
        first.setdefault(fact.digest, index)
    ours = [facts[index] for index in first.values()]
    free = _insert_keys(account_id, ours)
    kept = _find_keys(account_id, [fact.digest for fact in ours if fact.digest not in free])
    kept |= {fact.digest: fact.event.content for fact in ours if fact.digest in free}
    return {
        index: CREATED
        if fact.digest in free and first[fact.digest] == index
        else DUPLICATE
        if kept[fact.digest] == fact.event.content
        else CONFLICT
        for index, fact in facts.items()
    }


def _insert_keys(account_id: int, facts: list[_Fact]) -> set[bytes]:
    if not facts:
        return set()
    columns = [
        _bytea_array(fact.digest for fact in facts),
        _bytea_array(fact.event.content for fact in facts),
        "{" + ",".join(f'"{fact.event.timestamp.isoformat()}"' for fact in facts) + "}",
    ]
    with connection.cursor() as cursor:
        cursor.execute(INSERT_KEYS_SQL, [account_id, *columns])
        return {bytes(digest) for (digest,) in cursor.fetchall()}


def _find_keys(account_id: int, digests: list[bytes]) -> dict[bytes, bytes]:
    if not digests:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(FIND_KEYS_SQL, [account_id, _bytea_array(digests)])
        return {bytes(digest): bytes(content) for digest, content in cursor.fetchall()}


def _bytea_array(values: Iterable[bytes]) -> str:
    """An array as PostgreSQL writes it; adapting the list item by item took 5 ms a thousand."""
    return "{" + ",".join(f'"\\\\x{value.hex()}"' for value in values) + "}"


def _outcomes(
    items: Sequence[NewEvent | InvalidEvent], facts: dict[int, _Fact], statuses: dict[int, str]
) -> list[Outcome]:
    return [
        Outcome(item.id, REJECTED, item.errors)
        if isinstance(item, InvalidEvent)
        else _outcome(facts[index], statuses.get(index, CREATED))
        for index, item in enumerate(items)
    ]


def _outcome(fact: _Fact, status: str) -> Outcome:
    if status != CONFLICT:
        return Outcome(fact.id, status)
    detail = "An event with this id and other content was recorded before."
    return Outcome(fact.id, status, [FieldError.at("id", code=CONFLICT, detail=detail)])


class _Rows:
    """Turns facts into rows of the log.

    Dimension rows and partitions must be committed first: inside the ingest transaction they
    would be locked until its end, and roll back with it while a cache remembers them.
    """

    def __init__(self, account_id: int, events: list[NewEvent]) -> None:
        self.account_id = account_id
        partitions.ensure(partitions.month_of(event.timestamp) for event in events)
        self.entities = dimensions.entities.ids(
            account_id, (event.entity for event in events if event.entity)
        )
        self.models = dimensions.models.ids(
            account_id, ((event.provider, event.model) for event in events)
        )
        self.tag_sets = dimensions.tag_sets.ids(
            account_id, (dimensions.tags_name(event.tags) for event in events if event.tags)
        )

    def write(self, facts: list[_Fact], received_at: datetime) -> None:
        """Append the facts to the log as one pending batch."""
        times = [fact.event.timestamp for fact in facts]
        with connection.cursor() as cursor:
            cursor.execute(
                INSERT_BATCH_SQL,
                [self.account_id, len(facts), min(times), max(times), received_at],
            )
            (batch_id,) = cursor.fetchone()
            # Django does not translate what COPY raises by itself.
            with connection.wrap_database_errors, cursor.copy(COPY_SQL) as copy:
                for fact in facts:
                    copy.write_row(self._row(fact, batch_id))

    def _row(self, fact: _Fact, batch_id: int) -> tuple[Any, ...]:
        event = fact.event
        tags = dimensions.tags_name(event.tags)
        return (
            event.timestamp,
            batch_id,
            self.tag_sets[tags] if tags else NONE,
            event.input_tokens,
            event.output_tokens,
            event.cache_read_tokens,
            event.cache_write_tokens,
            event.reasoning_tokens,
            event.latency_ms,
            self.account_id,
            self.entities[event.entity] if event.entity else NONE,
            self.models[event.provider, event.model],
            fact.cost_source,
            event.success,
            fact.cost,
            fact.id,
            event.session_id,
            event.error_type,
            event.error_code,
        )


def _cost(event: NewEvent) -> tuple[Decimal | None, int]:
    if event.reported_cost is not None:
        return event.reported_cost, CostSource.REPORTED.value
    computed = pricing.price(event)
    source = CostSource.UNPRICED if computed is None else CostSource.COMPUTED
    return computed, source.value
