"""Log lines: one JSON object each, with the request's id, and nothing that a client sent."""

import json
import logging
import re
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that this thread answers. Kept after it, as a streamed answer goes on."""

# What PostgreSQL says besides: it quotes rows.
_QUOTES = re.compile(
    r"^(?:LINE \d+|DETAIL|CONTEXT):.*?(?=\n\n(?:The above|During)|\Z)", re.M | re.S
)
# 11 characters of a key may be shown: apikeys/keys.py.
_KEY = re.compile(r"\b(ip-[0-9A-Za-z]{8})[0-9A-Za-z]{20,}")


class JSONFormatter(logging.Formatter):
    """time, level, logger, message; request_id and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": _clean(record.getMessage()),
        }
        if name := request_id.get():
            line["request_id"] = name
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _clean("".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(line | getattr(record, "facts", {}), ensure_ascii=False)


def _clean(text: str) -> str:
    return _KEY.sub(r"\1…", _QUOTES.sub("", text))
