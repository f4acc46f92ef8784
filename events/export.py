"""CSV: the rows of an answer, streamed, safe to open in a spreadsheet.

RFC 4180, UTF-8 without BOM. The standard library writes it: the packages for DRF leave formulas
alone (8 of 8 payloads) and hold the whole file in memory.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Any

import msgspec
from django.http import StreamingHttpResponse

from events import money

ROWS_PER_CHUNK = 1000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_response(
    filename: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> StreamingHttpResponse:
    """Stream `rows` as a file. The first rows are read now, so that a failure is still a 500."""
    chunks = _chunks(columns, iter(rows))
    started = chain([next(chunks)], chunks)
    response = StreamingHttpResponse(
        _Closing(started, chunks), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


class _Closing:
    """An iterator whose close() reaches the query behind it when the client hangs up."""

    def __init__(self, started: Iterator[bytes], chunks: Any) -> None:
        self.started = started
        self.close = chunks.close

    def __iter__(self) -> Iterator[bytes]:
        return self.started


def _chunks(columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    head: list[list[str]] = [[cell(column) for column in columns]]
    while True:
        block = list(islice(rows, ROWS_PER_CHUNK))
        if block or head:
            yield _lines([*head, *([cell(row[column]) for column in columns] for row in block)])
        if len(block) < ROWS_PER_CHUNK:
            return
        head = []


def _lines(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """The text of one value; text that a spreadsheet would run gets a leading apostrophe."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return money.plain(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return msgspec.json.encode(money.json_number(value)).decode()
    return str(value)
