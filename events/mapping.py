"""Where the fields of imported events come from: columns of a file, and constants."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from events.schema import FIELDS, decode_loosely

TAG = "tags."
REQUIRED = [name for name, described in FIELDS.items() if described.required]
WHOLES = ["input_tokens", "output_tokens"]  # or `usage`
OBJECTS = {"tags", "usage"}
_NO_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?")


class BadImport(Exception):
    """An import that cannot start: what was asked for makes no sense, or does not fit a file."""


@dataclass(frozen=True)
class Mapping:
    """For each field a constant, else the column named here, else the column of its own name."""

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, columns: Sequence[str], constants: Sequence[str]) -> "Mapping":
        """From texts `field=COLUMN` and `field=VALUE`. Raises BadImport."""
        mapped, fixed = _pairs(columns, "COLUMN"), _pairs(constants, "VALUE")
        if both := sorted(mapped.keys() & fixed.keys()):
            raise BadImport(f"{both[0]!r} is both mapped to a column and set to a value.")
        return cls(mapped, {name: _constant(name, text) for name, text in fixed.items()})

    def cells(self, path: Path, header: list[str]) -> dict[str, int]:
        """The index of each field's column. Raises BadImport if the header of `path` lacks one."""
        named = {name: name for name in header if is_field(name)} | self.columns
        columns = {name: column for name, column in named.items() if name not in self.constants}
        found = ", ".join(header) or "none at all"
        for name, column in columns.items():
            if (times := header.count(column)) != 1:
                many = "more than one" if times else "no"
                raise BadImport(f"{path} has {many} column {column!r} for {name!r}: {found}.")
        known = columns.keys() | self.constants.keys()
        for name in REQUIRED if "usage" in known else [*REQUIRED, *WHOLES]:
            if name not in known:
                raise BadImport(
                    f"{path} has no column {name!r}: {found}. "
                    f"Map another one (--map {name}=COLUMN) or set a value (--set {name}=VALUE)."
                )
        return {name: header.index(column) for name, column in columns.items()}

    def pick(self, record: dict[str, Any]) -> dict[str, Any]:
        """A JSON object's values by field. A key that is none, and not mapped, is left in."""
        mapped = self.columns.values()
        values = {
            key: value
            for key, value in record.items()
            if key not in self.columns and (is_field(key) or key not in mapped)
        }
        return values | {name: record[key] for name, key in self.columns.items() if key in record}

    def item(self, values: dict[str, Any]) -> dict[str, Any]:
        """The event to parse, of a row's values by field, and of the constants."""
        item: dict[str, Any] = {}
        tags: dict[str, Any] = {}
        for name, value in {**values, **self.constants}.items():
            if name.startswith(TAG):
                tags[name.removeprefix(TAG)] = value
            else:
                item[name] = in_utc(value) if name == "timestamp" else value
        whole = item.get("tags")
        if tags and isinstance(whole, dict | None):  # else it will be refused
            item["tags"] = {**(whole or {}), **tags}
        return item


def is_field(name: str) -> bool:
    """Whether `name` is a field of an event, or `tags.` and a key."""
    return name in FIELDS or (name.startswith(TAG) and name != TAG)


def in_utc(value: Any) -> Any:
    """A time without an offset is UTC; anything else is as it was."""
    return f"{value}Z" if isinstance(value, str) and _NO_OFFSET.fullmatch(value) else value


def read_object(text: str) -> Any:
    """The text of `tags` or `usage`: a JSON object, as in the API's own CSV. Else as it was."""
    try:
        return decode_loosely(text.encode())
    except ValueError:
        return text


def _pairs(texts: Sequence[str], value: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        if not rest:
            raise BadImport(f"{text!r} is not field={value}. (Files come before the options.)")
        if not is_field(name):
            raise BadImport(f"{name!r} is not a field: {', '.join(FIELDS)}, tags.KEY.")
        if name in pairs:
            raise BadImport(f"{name!r} is given twice.")
        pairs[name] = rest
    return pairs


def _constant(name: str, text: str) -> Any:
    if name.startswith(TAG):
        return text
    value = read_object(text) if name in OBJECTS else in_utc(text)
    try:
        return msgspec.convert(value, FIELDS[name].type, strict=False)
    except msgspec.ValidationError as error:
        raise BadImport(f"{name}={text}: {error}.") from error
