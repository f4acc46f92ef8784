"""Costs anew: what would change, the change in one transaction, and back again.

What changes is worked out first, into a temporary table: that may take minutes, holds up nobody,
and is all that a dry run does. Then one transaction, alone with the rollups, moves log and rollups
together: every reader sees the old state until its commit, and the new one from then on.

Repricing is the only UPDATE of events.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Max, Min, QuerySet

from apikeys.models import Account
from events.models import CostSource, Event
from events.price_models import RepricedEvent, Repricing
from events.pricing import moved
from events.pricing.costs import Cost, costs
from events.roller import LOCK

CHUNK = 5_000
"""Events in memory."""


class Refused(Exception):
    """A run that cannot be applied or undone; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which events are to be priced anew; None is no bound. Times are UTC, half-open."""

    account_id: int | None = None
    provider: str | None = None
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    only_unpriced: bool = False
    reported: bool = False
    """Also replace what was reported, where a cost can be computed."""

    def events(self) -> QuerySet[Event]:
        """The events in it."""
        found = Event.objects.all()
        if self.account_id is not None:
            found = found.filter(account_id=self.account_id)
        if self.provider is not None:
            found = found.filter(model__provider=self.provider)
        if self.model is not None:
            found = found.filter(model__model=self.model)
        if self.since is not None:
            found = found.filter(timestamp__gte=self.since)
        if self.until is not None:
            found = found.filter(timestamp__lt=self.until)
        return found.filter(cost=None) if self.only_unpriced else found


class Change(NamedTuple):
    """What a run does to the events of one model; costs in USD, of those that have one."""

    provider: str
    model: str
    events: int
    cost_before: Decimal
    cost_after: Decimal
    unpriced_before: int
    unpriced_after: int


@dataclass(frozen=True)
class Outcome:
    """What a run changes, by model, and its audit record once it was applied."""

    changes: list[Change]
    run: Repricing | None = None


COLUMNS = (
    *("timestamp", "batch_id", "tag_set_id", "account_id", "entity_id", "model_id"),
    *("id", "session_id", "model__provider", "model__model", "service_tier"),
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "reasoning_tokens", "media_tokens"),
    *("cost", "cost_source", "rate_set_id", "computed_cost"),
)


class Found(NamedTuple):
    """An event of the log as COLUMNS has it."""

    timestamp: datetime
    batch_id: int
    tag_set_id: int
    account_id: int
    entity_id: int
    model_id: int
    id: str
    session_id: str | None
    provider: str
    model: str
    service_tier: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    media_tokens: dict[str, int]
    cost: Decimal | None
    cost_source: int
    rate_set_id: int | None
    computed_cost: Decimal | None

    @property
    def reported_cost(self) -> Decimal | None:
        """The cost, if it was reported."""
        return self.cost if self.cost_source == CostSource.REPORTED else None


def reprice(scope: Scope, *, now: datetime, made_by: str, apply: bool) -> Outcome:
    """Work out what the events in scope cost by today's price table; `apply` it, if asked.

    Reported costs stay, unless the scope says so; what was computed beside them is brought up to
    date. Raises Refused where another run changed the same events meanwhile. Call it outside a
    transaction.
    """
    _work_out(scope)
    changes = _changes()
    if not apply or not changes:
        return Outcome(changes)
    run = Repricing(account_id=scope.account_id, scope=_said(scope), made_by=made_by)
    run.applied_at, run.events = now, sum(change.events for change in changes)
    run.changes = [change._asdict() for change in changes]
    with _alone():
        run.save()
        with connection.cursor() as cursor:
            cursor.execute(moved.SAVE_SQL, [run.pk])
        _move()
    return Outcome(changes, run)


def undo(run_id: int, *, now: datetime, made_by: str) -> Repricing:
    """Give the events of a run back the costs that they had. Raises Refused."""
    with _alone():
        run = Repricing.objects.select_for_update().filter(pk=run_id).first()
        if run is None or run.undone_at:
            raise Refused(f"There is no run {run_id} that could be undone.")
        saved = RepricedEvent.objects.filter(run=run)
        span = saved.aggregate(first=Min("timestamp"), last=Max("timestamp"))
        _refuse_if_repriced_since(run)
        with connection.cursor() as cursor:
            cursor.execute(moved.CREATE_SQL)
            cursor.execute(moved.RESTORE_SQL, {"run": run.pk, **span})
            if cursor.rowcount != run.events:
                raise Refused("Retention has dropped events of this run.")
        _move()
        saved.delete()
        run.undone_at, run.undone_by = now, made_by
        run.save()
    return run


def _refuse_if_repriced_since(run: Repricing) -> None:
    with connection.cursor() as cursor:
        cursor.execute(moved.LATER_SQL, {"run": run.pk})
        if later := cursor.fetchone():
            raise Refused(f"Run {later[0]} has priced some of these events since: undo it first.")


@contextmanager
def _alone() -> Iterator[None]:
    """A transaction that has the rollups to itself; ingest goes on."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield


def _move() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE repriced")
        cursor.execute(moved.SPAN_SQL)
        count, first, last = cursor.fetchone()
    if moved.update_events(first, last) != count:
        raise Refused("Some of these events were priced anew or dropped meanwhile: try again.")
    moved.move_rollups()


def _work_out(scope: Scope) -> None:
    """Fill the table `repriced`."""
    with connection.cursor() as cursor:
        cursor.execute(moved.CREATE_SQL)
    accounts = (
        [scope.account_id] if scope.account_id else Account.objects.values_list("pk", flat=True)
    )
    for account_id in accounts:
        found = scope.events().filter(account_id=account_id).values_list(*COLUMNS)
        rows = map(_found, found.iterator(chunk_size=CHUNK))
        while chunk := list(islice(rows, CHUNK)):
            _note(scope, chunk, costs(account_id, chunk))


def _found(row: tuple[Any, ...]) -> Found:
    """A part that is 0 is NULL in the log."""
    head, parts, tail = row[:10], row[10:17], row[17:]
    return Found._make((*head, *(part or 0 for part in parts), tail[0] or {}, *tail[1:]))


def _note(scope: Scope, events: list[Found], priced: list[Cost]) -> None:
    """Write down those that get another cost."""
    with connection.cursor() as cursor, cursor.copy(moved.COPY_SQL) as copy:
        for event, cost in zip(events, priced, strict=True):
            new = _anew(event, cost, scope)
            if (new[0], *new[2:]) != (event.cost, event.rate_set_id, event.computed_cost):
                copy.write_row(_row(event, new))


def _anew(event: Found, cost: Cost, scope: Scope) -> tuple[Any, ...]:
    """The values of COSTS."""
    if cost.source == CostSource.REPORTED and scope.reported and cost.computed is not None:
        return cost.computed, CostSource.REPRICED.value, cost.rate_set_id, None
    source = CostSource.REPRICED.value if cost.source == CostSource.COMPUTED else cost.source
    return cost.usd, source, cost.rate_set_id, cost.computed


def _row(event: Found, new: tuple[Any, ...]) -> tuple[Any, ...]:
    tokens = event.input_tokens + event.output_tokens
    facts = (event.timestamp, event.batch_id, event.tag_set_id, tokens)
    ids = (event.account_id, event.entity_id, event.model_id)
    old = (event.cost, event.cost_source, event.rate_set_id, event.computed_cost)
    return (*facts, *ids, *old, *new, event.id, event.session_id)


def _changes() -> list[Change]:
    with connection.cursor() as cursor:
        cursor.execute(moved.CHANGES_SQL)
        return [Change(*row) for row in cursor.fetchall()]


def _said(scope: Scope) -> dict[str, Any]:
    """What was asked for, for the audit."""
    return {name: value for name, value in asdict(scope).items() if value not in (None, False)}
