"""Gunicorn's web process, made safe from clients that stall, and speaking JSON in every answer."""

import logging
import socket
import struct
from contextlib import suppress
from select import select
from typing import Any
from uuid import uuid4

from django.http import HttpRequest
from gunicorn import glogging, util  # type: ignore[import-untyped]
from gunicorn.http import Request, RequestParser  # type: ignore[import-untyped]
from gunicorn.http.body import ChunkedReader  # type: ignore[import-untyped]
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    ExpectationFailed,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers import gthread  # type: ignore[import-untyped]

from apikeys.problems import Problem
from config.errors import error_response, failed

log = logging.getLogger(__name__)

# Seconds that a new connection has a thread before its first byte; after that, it waits without.
_MOMENT = 0.1
# Bytes that may wait to be sent. With megabytes, as Linux would have it, it takes one of them read
# until a write goes on: a client with 30 kB/s would count as stalled.
_UNSENT = 128 * 1024
# Bytes of a refused body that are thrown away: a client still sending would see a broken connection
# in place of the answer.
_UNREAD = 64 * 1024 * 1024
_STATUSES = {
    LimitRequestLine: (414, "The address is too long."),
    LimitRequestHeaders: (431, "The headers are too many or too long."),
    ExpectationFailed: (417, "The only expectation that can be met is 100-continue."),
    UnsupportedTransferCoding: (501, "The only Transfer-Encoding is chunked."),
}


class Log(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's messages, written as all others are."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers to the settings."""
        self.error_log.propagate = True
        self.error_log.setLevel(cfg.loglevel.upper())


class WebProcess(gthread.ThreadWorker):  # type: ignore[misc]
    """Answers requests, each in a thread, which no client may hold for as long as it likes."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Also, when stopping: take in who has knocked, and close the door.

        Gunicorn leaves it open while it waits for others, and then hangs up on all who came: 8 of
        8 busy clients lost a request at each stop.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            while select([listener], [], [], 0)[0]:
                self.accept(listener)
            listener.close()

    def handle(self, conn: Any) -> Any:
        """One request of a connection; whether the connection is kept."""
        if conn.parser is None:
            conn.parser = _Parser(self.cfg, conn.sock, conn.client)
            _limit_stalls(conn.sock, self.app.timeout)
        if not (conn.initialized or conn.data_ready or conn.wait_for_data(_MOMENT)):
            return gthread._DEFER
        keep = super().handle(conn)
        if not keep:
            _part(conn.sock)
        return keep

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer; False if the connection ends with that, as when the client does not read on."""
        try:
            return bool(super().handle_request(req, conn))
        except BlockingIOError:
            return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what did not reach Django, or did not come back from it, as any other error."""
        request = HttpRequest()
        request.request_id = uuid4().hex  # type: ignore[attr-defined]
        if problem := _problem(exc):
            response = error_response(request, problem)
        else:
            response = failed(request)
            log.error("Error in request %s", request.request_id, exc_info=exc)  # type: ignore[attr-defined]
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        response["Connection"] = "close"
        response["Content-Length"] = str(len(response.content))
        status = f"HTTP/1.1 {response.status_code} {response.reason_phrase}\r\n"
        with suppress(OSError):
            client.sendall(status.encode() + response.serialize())


class _Request(Request):  # type: ignore[misc]
    def should_close(self) -> bool:
        """Also if some of the body is unread: it would be taken for the next request."""
        return super().should_close() or not _is_read(self.body)


class _Parser(RequestParser):  # type: ignore[misc]
    mesg_class = _Request

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except BlockingIOError as error:
            raise NoMoreData from error  # to gunicorn, as if the client had hung up


def _limit_stalls(client: socket.socket, seconds: int) -> None:
    """Let reads and writes fail with BlockingIOError after so long without any progress.

    By options of the socket: Python's timeout would be one for a whole answer, however steadily
    it is read, and gunicorn takes it off.
    """
    timeval = struct.pack("ll", seconds, 0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)


def _part(client: socket.socket) -> None:
    """Let the client, which may still be sending, read the answer and hang up, for 2 s at most.

    Gunicorn would wait for that in the one thread that accepts.
    """
    with suppress(OSError):
        util.close_graceful(client.dup(), max_drain=_UNREAD)
        client.shutdown(socket.SHUT_RDWR)


def _is_read(body: Any) -> bool:
    if isinstance(body.reader, ChunkedReader):
        return body.reader.parser is None
    return not body.failed and body.reader.length == 0


def _problem(error: Exception) -> Problem | None:
    """What is wrong with the request; None if the fault is ours."""
    for kind, (status, detail) in _STATUSES.items():
        if isinstance(error, kind):
            return Problem(status, detail)
    ours = isinstance(error, InvalidResponseHeader | InvalidResponseHeaderName)
    if isinstance(error, ParseException) and not ours:
        return Problem(400, f"This is not a request of HTTP/1.1: {error}.")
    return None
