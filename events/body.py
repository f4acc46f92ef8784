"""Request bodies: bytes in, a bounded number of events out."""

import gzip
import io
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.http import HttpRequest

from apikeys.problems import Problem
from events.rules import FieldError
from events.schema import MALFORMED, InvalidEvent, NewEvent, decode_loosely, parse, parse_json

MAX_BYTES = 16 * 1024 * 1024
MAX_EVENTS = 10_000
NDJSON = "application/x-ndjson"
NO_EVENT = "Send one event or an object with `events`."
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Body:
    """What was sent: the items in order, and whether it was a batch or one event."""

    items: list[NewEvent | InvalidEvent]
    is_batch: bool


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


def read_body(request: HttpRequest, received_at: datetime) -> Body:
    """The events of a request. Raises Problem 400, 413, 415 or 422 where there are none."""
    raw = _unpack(request, _read(request)).removeprefix(BOM)
    if request.content_type == NDJSON:
        lines = [line for line in raw.split(b"\n") if line.strip()]
        return _batch([_item(line, received_at) for line in _bounded(lines)])
    try:
        raw.decode()  # strings are not looked at before their own event is
        is_batch = "events" in msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        if is_batch:
            events = msgspec.json.decode(raw, type=_Batch).events
            return _batch([_json_item(event, received_at) for event in _bounded(events)])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _read_loosely(raw, received_at)
    return Body([_json_item(raw, received_at)], is_batch=False)


def read_json(request: HttpRequest) -> Any:
    """The body of a request that holds no events. Raises Problem 400, 413 or 415."""
    try:
        return decode_loosely(_unpack(request, _read(request)).removeprefix(BOM))
    except ValueError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error


def _read_loosely(raw: bytes, received_at: datetime) -> Body:
    """A body that the strict decoder refused: find out whose fault it is, item by item."""
    try:
        sent = decode_loosely(raw)
    except ValueError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error
    if not isinstance(sent, dict):
        raise _unprocessable(FieldError("", "invalid", NO_EVENT))
    if "events" not in sent:
        return Body([_checked(sent, received_at)], is_batch=False)
    if unknown := sorted(sent.keys() - {"events"}):
        detail = f"Beside `events` nothing may be sent: `{'`, `'.join(unknown)}`."
        raise _unprocessable(FieldError.at(unknown[0], code="unknown_field", detail=detail))
    if not isinstance(sent["events"], list):
        raise _unprocessable(FieldError("/events", "invalid", "`events` must be a list."))
    return _batch([_checked(item, received_at) for item in _bounded(sent["events"])])


def _batch(items: list[NewEvent | InvalidEvent]) -> Body:
    return Body(items, is_batch=True)


def _item(raw: bytes | msgspec.Raw, received_at: datetime) -> NewEvent | InvalidEvent:
    try:
        return parse_json(raw, received_at)
    except InvalidEvent as invalid:
        return invalid


def _json_item(raw: bytes | msgspec.Raw, received_at: datetime) -> NewEvent | InvalidEvent:
    """An event of a JSON body: if it is not JSON, neither is the body."""
    item = _item(raw, received_at)
    if isinstance(item, InvalidEvent) and item.errors[0].code == MALFORMED:
        raise Problem(400, f"The body is not JSON. {item.errors[0].detail}")
    return item


def _checked(item: Any, received_at: datetime) -> NewEvent | InvalidEvent:
    try:
        return parse(item, received_at)
    except InvalidEvent as invalid:
        return invalid


def _bounded(events: list[Any]) -> list[Any]:
    if len(events) > MAX_EVENTS:
        detail = f"A batch holds at most {MAX_EVENTS} events, this one {len(events)}."
        raise _unprocessable(FieldError("/events", "too_many", detail))
    return events


def _unprocessable(fault: FieldError) -> Problem:
    return Problem(422, fault.detail, errors=[fault.under()])


def _read(request: HttpRequest) -> bytes:
    """The body as sent. Read by hand: Django keeps bodies of 2.5 MB at most, and sees an empty
    one where the length is not told ahead (chunked)."""
    chunked = "Transfer-Encoding" in request.headers
    stream = request.META["wsgi.input"] if chunked else request
    try:
        raw: bytes = stream.read(MAX_BYTES + 1)
    except Exception as error:  # whatever the server calls a malformed chunk or a broken line
        raise Problem(400, "The body could not be read.") from error
    if len(raw) > MAX_BYTES:
        raise _too_large()
    return raw


def _unpack(request: HttpRequest, raw: bytes) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return raw
    if encoding != "gzip":
        raise Problem(415, "Content-Encoding must be gzip or absent.")
    try:
        # Bounded: a bomb is refused at the limit, after 16 MiB and not after 16 GiB.
        unpacked = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Problem(400, f"The body is not gzip: {error}.") from error
    if len(unpacked) > MAX_BYTES:
        raise _too_large()
    return unpacked


def _too_large() -> Problem:
    return Problem(413, f"A body has at most {MAX_BYTES // 2**20} MiB, unpacked.")
