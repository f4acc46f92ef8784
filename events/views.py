"""`/v1/events`: write events, list them, look one up."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.params import Address, read_params
from apikeys.problems import Problem
from apikeys.views import AccountView
from events.body import Body, read_body
from events.filters import EventFilter
from events.identity import key_of
from events.ingest import NotAllAccepted, record_events
from events.lists import ListView
from events.models import Event, EventKey
from events.outcome import CONFLICT, CREATED, DUPLICATE, REJECTED, Outcome
from events.pricing.breakdown import cost_detail
from events.rows import EVENT_COLUMNS, event_row
from events.snapshot import snapshot
from events.tally import OUTCOMES

STATUS_CODES = {CREATED: 201, DUPLICATE: 200, CONFLICT: 409, REJECTED: 422}
MAX_IDEMPOTENCY_KEY = 200


class IngestParams(Address):
    atomic = serializers.BooleanField(default=False, help_text="All events or none.")


class EventsView(ListView):
    """Write events; list them, newest first."""

    scopes: ClassVar[dict[str, str]] = {"GET": "read", "POST": "ingest"}
    name = "events"
    columns = EVENT_COLUMNS
    filterset = EventFilter

    def post(self, request: Request) -> Response:
        now = timezone.now()
        atomic = read_params(IngestParams, request)["atomic"]
        body = read_body(request._request, now)
        outcomes = self._record(body, now, atomic and body.is_batch)
        for status, count in Counter(outcome.status for outcome in outcomes).items():
            OUTCOMES.add(status, count)
        return batch_answer(outcomes) if body.is_batch else single_answer(outcomes[0])

    def queryset(self) -> QuerySet[Event]:
        return _events(self.account.pk).order_by("-timestamp", "-id")

    def rows(self, found: Iterable[Event]) -> Iterator[dict[str, Any]]:
        return map(event_row, found)

    def _record(self, body: Body, now: datetime, atomic: bool) -> list[Outcome]:
        try:
            return record_events(
                self.account.pk,
                body.items,
                received_at=now,
                idempotency_key=_idempotency_key(self.request),
                atomic=atomic,
            )
        except NotAllAccepted as refused:
            raise _none_stored(refused.outcomes) from refused


class EventView(AccountView):
    """One event by its id."""

    def get(self, request: Request, event_id: str) -> Response:
        read_params(Address, request)
        with snapshot():
            event = self._find(event_id)
            if event is None:
                raise Http404
            return Response(event_row(event) | cost_detail(event))

    def _find(self, event_id: str) -> Event | None:
        """By its key, which says in which partition to look."""
        key = EventKey.objects.filter(pk=key_of(self.account.pk, event_id)).first()
        if key is None:
            return None
        return _events(self.account.pk).filter(timestamp=key.timestamp, id=event_id).first()


def single_answer(outcome: Outcome) -> Response:
    """201 created, 200 duplicate. Raises Problem 409 for a conflict, 422 for an invalid event."""
    status = STATUS_CODES[outcome.status]
    if status < 400:
        return Response({"id": outcome.id, "status": outcome.status}, status=status)
    detail = " ".join(error.detail for error in outcome.errors)
    errors = [error.under() for error in outcome.errors]
    raise Problem(status, detail, errors=errors, id=outcome.id, outcome=outcome.status)


def batch_answer(outcomes: list[Outcome]) -> Response:
    """200 with the counts, and every item that was not created."""
    results = [
        {
            "index": index,
            "id": outcome.id,
            "status": outcome.status,
            "errors": [error.under() for error in outcome.errors],
        }
        for index, outcome in enumerate(outcomes)
        if outcome.status != CREATED
    ]
    count = [outcome.status for outcome in outcomes].count
    return Response(
        {
            "accepted": count(CREATED),
            "duplicates": count(DUPLICATE),
            "conflicts": count(CONFLICT),
            "rejected": count(REJECTED),
            "results": results,
        }
    )


def _none_stored(outcomes: list[Outcome]) -> Problem:
    errors = [
        error.under("events", str(index))
        for index, outcome in enumerate(outcomes)
        for error in outcome.errors
    ]
    return Problem(422, "Nothing was stored: not every event is acceptable.", errors=errors)


def _events(account_id: int) -> QuerySet[Event]:
    return Event.objects.filter(account_id=account_id).select_related("entity", "model", "tag_set")


def _idempotency_key(request: Request) -> str | None:
    key: str | None = request.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY:
        detail = f"`Idempotency-Key` must have 1 to {MAX_IDEMPOTENCY_KEY} characters."
        raise Problem(
            400, detail, errors=[{"header": "Idempotency-Key", "code": "invalid", "detail": detail}]
        )
    return key
