"""Events from files: rows of CSV and JSON Lines, recorded in batches.

The files of one run are read as if they were one. A row without an id gets one that follows from
its content and from how many equal rows came before it: equal rows are events of their own, and
the same rows give the same ids again, however they are ordered or spread over files.
"""

import csv
import gzip
import io
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from events.body import BOM
from events.identity import id_digest
from events.ingest import record_events
from events.mapping import OBJECTS, BadImport, Mapping, read_object
from events.outcome import Outcome
from events.rules import FieldError
from events.schema import InvalidEvent, NewEvent, decode_loosely, parse

BATCH = 5_000
"""Rows that are held in memory, and that one transaction stores."""

CSV = {".csv"}
JSON_LINES = {".jsonl", ".ndjson", ".json"}
GZIP = ".gz"
UNREADABLE = (OSError, EOFError, zlib.error)


Item = NewEvent | InvalidEvent


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file, with the number of the line that it starts on."""

    path: Path
    line: int
    event: Item


def check(paths: Sequence[Path], mapping: Mapping) -> None:
    """Look at every file's name and header. Raises BadImport before anything is imported."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:  # its rows would count twice
            raise BadImport(f"{path} is named twice.")
        seen.add(path.resolve())
        try:
            _check(path, mapping)
        except (*UNREADABLE, csv.Error) as error:
            raise BadImport(f"{path} cannot be read: {error}") from error


def _check(path: Path, mapping: Mapping) -> None:
    if _is_csv(path):
        with _csv_reader(path) as reader:
            mapping.cells(path, _header(reader))
    else:
        with _open(path) as file:
            file.read(1)


def read_rows(paths: Iterable[Path], mapping: Mapping, received_at: datetime) -> Iterator[Row]:
    """The rows of all files; a bad one, and a file's unreadable end, with what is wrong."""
    for path in paths:
        read = _read_csv if _is_csv(path) else _read_json_lines
        line = 0
        try:
            for line, event in read(path, mapping, received_at):
                yield Row(path, line, event)
        except UNREADABLE as error:
            yield Row(path, line + 1, _malformed(f"Nothing can be read from here on: {error}."))


def record_rows(
    account_id: int, rows: Iterator[Row], received_at: datetime
) -> Iterator[tuple[Row, Outcome]]:
    """Store rows, batch by batch; yields each with what became of it, once it is committed."""
    with _occurrences() as occurrence:
        while batch := list(islice(rows, BATCH)):
            events = [row.event for row in batch]
            for event in events:
                if isinstance(event, NewEvent) and event.id is None:
                    event.id = row_id(event.content, occurrence(event.content))
            yield from zip(
                batch, record_events(account_id, events, received_at=received_at), strict=True
            )


def row_id(content: bytes, occurrence: int) -> str:
    """The id of the nth row of some content, for ever: another one would import it again."""
    return f"imp_{id_digest(f'{occurrence} {content.hex()}').hex()}"


@contextmanager
def _occurrences() -> Iterator[Callable[[bytes], int]]:
    """A count of contents, however many: in a temporary database that SQLite keeps on disk."""
    counts = sqlite3.connect("", isolation_level=None)
    counts.execute("PRAGMA journal_mode = OFF")
    counts.execute("CREATE TABLE seen (content BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")

    def occurrence(content: bytes) -> int:
        counts.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1", [content]
        )
        found = counts.execute("SELECT times FROM seen WHERE content = ?", [content])
        return int(found.fetchone()[0])

    try:
        yield occurrence
    finally:
        counts.close()


def _read_csv(path: Path, mapping: Mapping, received_at: datetime) -> Iterator[tuple[int, Item]]:
    with _csv_reader(path) as reader:
        header = _header(reader)
        cells = mapping.cells(path, header)
        for line, row in _csv_rows(reader):
            if isinstance(row, InvalidEvent):
                yield line, row
            elif len(row) != len(header):
                yield line, _malformed(f"{len(row)} cells, but the header has {len(header)}.")
            else:
                values = {name: row[index] for name, index in cells.items() if row[index]}
                yield line, _csv_event(values, mapping, received_at)


def _csv_rows(reader: Any) -> Iterator[tuple[int, list[str] | InvalidEvent]]:
    """Rows by the line that they start on: a cell may hold line breaks."""
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _malformed(f"Not CSV, from here to line {reader.line_num}: {error}.")
            continue
        if row:
            yield line, row


def _csv_event(values: dict[str, Any], mapping: Mapping, received_at: datetime) -> Item:
    try:
        "".join(values.values()).encode()
    except UnicodeEncodeError:
        return _malformed("Not UTF-8.")
    for name in OBJECTS & values.keys():
        values[name] = read_object(values[name])
    return _event(mapping.item(values), received_at, strict=False)


@contextmanager
def _csv_reader(path: Path) -> Iterator[Any]:
    with (
        _open(path) as file,
        # Bytes that are not UTF-8 become lone surrogates: one bad cell must not end the file.
        io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        yield csv.reader(text, strict=True)


def _header(reader: Any) -> list[str]:
    return list(next(reader, []))


def _read_json_lines(
    path: Path, mapping: Mapping, received_at: datetime
) -> Iterator[tuple[int, Item]]:
    with _open(path) as file:
        for line, raw in enumerate(file, start=1):
            if text := raw.removeprefix(BOM).strip():
                yield line, _json_event(text, mapping, received_at)


def _json_event(raw: bytes, mapping: Mapping, received_at: datetime) -> Item:
    try:
        sent = decode_loosely(raw)
    except ValueError as error:
        return _malformed(f"Not JSON: {error}.")
    if isinstance(sent, dict):
        sent = mapping.item(mapping.pick(sent))
    return _event(sent, received_at)


def _event(item: Any, received_at: datetime, *, strict: bool = True) -> Item:
    try:
        return parse(item, received_at, strict=strict)
    except InvalidEvent as invalid:
        return invalid


def _malformed(detail: str) -> InvalidEvent:
    return InvalidEvent([FieldError("", "malformed", detail)])


def _is_csv(path: Path) -> bool:
    """Whether a file is CSV, not JSON Lines, by its name. Raises BadImport if it is neither."""
    suffix = Path(path.name.lower().removesuffix(GZIP)).suffix
    if suffix not in CSV | JSON_LINES:
        known = " ".join(sorted(CSV | JSON_LINES))
        raise BadImport(f"{path} is of no known format: {known}, each also with {GZIP}.")
    return suffix in CSV


def _open(path: Path) -> BinaryIO:
    if path.name.lower().endswith(GZIP):
        return cast(BinaryIO, gzip.open(path))
    return path.open("rb")
