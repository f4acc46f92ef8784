"""The one write path: every event that is stored is stored by `record_events`.

One transaction writes the keys (who was here before), the log and the pending batch; a caller
that is told "created" is told so after its commit.
"""

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import compress

from django.db import IntegrityError, connection, transaction
from psycopg.errors import CheckViolation

from events import dimensions, partitions
from events.identity import claim, id_digest, key_digest
from events.log import append, log_row
from events.models import NONE
from events.outcome import CONFLICT, CREATED, REJECTED, Outcome
from events.pricing.costs import costs
from events.rules import FieldError
from events.schema import InvalidEvent, NewEvent

INSERT_BATCH_SQL = """
INSERT INTO events_pendingbatch (account_id, events, first_timestamp, last_timestamp, received_at)
VALUES (%s, %s, %s, %s, %s) RETURNING id
"""

Identified = tuple[str, NewEvent]


class NotAllAccepted(Exception):
    """An atomic batch held a conflict or an invalid event; nothing of it was stored."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__(outcomes)
        self.outcomes = outcomes


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
    if atomic and any(isinstance(item, InvalidEvent) for item in items):
        raise NotAllAccepted([_without_storing(item) for item in items])
    events = [
        (_id(item, index, idempotency_key), item)
        for index, item in enumerate(items)
        if isinstance(item, NewEvent)
    ]
    stored = iter(_store_in_partitions(account_id, events, received_at, atomic) if events else ())
    return [
        _without_storing(item) if isinstance(item, InvalidEvent) else next(stored) for item in items
    ]


def _id(event: NewEvent, index: int, idempotency_key: str | None) -> str:
    if event.id is not None:
        return event.id
    if idempotency_key is None:
        return f"evt_{secrets.token_hex(16)}"
    return f"evt_{id_digest(f'{index} {idempotency_key}').hex()}"


def _without_storing(item: NewEvent | InvalidEvent) -> Outcome:
    if isinstance(item, InvalidEvent):
        return Outcome(item.id, REJECTED, item.errors)
    return Outcome(item.id, CREATED)


def _store_in_partitions(
    account_id: int, events: list[Identified], received_at: datetime, atomic: bool
) -> list[Outcome]:
    try:
        return _store(account_id, events, received_at, atomic)
    except IntegrityError as error:
        if not isinstance(error.__cause__, CheckViolation):
            raise
        # Retention has dropped a partition that we remember; a late event makes it anew.
        partitions.forget()
        return _store(account_id, events, received_at, atomic)


def _store(
    account_id: int, events: list[Identified], received_at: datetime, atomic: bool
) -> list[Outcome]:
    # What the transaction need not wait for is done before it: its keys hold up whoever sends them
    # again. Dimension rows and partitions must be committed by then: inside they would be locked
    # until its end, and roll back with it while a cache remembers them.
    times = [event.timestamp for _, event in events]
    partitions.ensure(partitions.months_of(times))
    texts = [time.isoformat() for time in times]
    rows = list(_rows(account_id, events, texts))
    digests = [key_digest(account_id, id_) for id_, _ in events]
    with transaction.atomic(durable=True):
        statuses = claim(digests, [event.content for _, event in events], texts)
        outcomes = [
            _outcome(id_, status) for (id_, _), status in zip(events, statuses, strict=True)
        ]
        if atomic and CONFLICT in statuses:
            raise NotAllAccepted(outcomes)
        created = [status == CREATED for status in statuses]
        if any(created):
            batch_id = _begin_batch(account_id, list(compress(times, created)), received_at)
            append(batch_id, list(compress(rows, created)))
    return outcomes


def _rows(account_id: int, events: list[Identified], times: list[str]) -> Iterator[str]:
    """The events as rows of the log, with the ids of their dimensions and their cost."""
    tags = [dimensions.tags_name(event.tags) for _, event in events]
    tag_sets = dimensions.tag_sets.ids(account_id, filter(None, tags)) | {(): NONE}
    models = dimensions.models.ids(
        account_id, ((event.provider, event.model) for _, event in events)
    )
    entities = dimensions.entities.ids(
        account_id, (event.entity for _, event in events if event.entity)
    )
    priced = costs(account_id, [event for _, event in events])
    for (id_, event), time, tag_set, cost in zip(events, times, tags, priced, strict=True):
        entity_id = entities[event.entity] if event.entity else NONE
        model_id = models[event.provider, event.model]
        ids = (account_id, entity_id, model_id, tag_sets[tag_set])
        yield log_row(id_, time, event, ids, cost)


def _begin_batch(account_id: int, times: list[datetime], received_at: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_BATCH_SQL, [account_id, len(times), min(times), max(times), received_at]
        )
        (batch_id,) = cursor.fetchone()
    return int(batch_id)


def _outcome(id_: str, status: str) -> Outcome:
    if status != CONFLICT:
        return Outcome(id_, status)
    detail = "An event with this id and other content was recorded before."
    return Outcome(id_, status, [FieldError.at("id", code=CONFLICT, detail=detail)])
