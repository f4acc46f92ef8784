"""Dimension rows: found or made, committed before the facts that name them, then cached.

A cached id must exist for good, so rows are made in a transaction of their own (autocommit) and
never deleted. Two processes that make the same row meet in ON CONFLICT DO NOTHING.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from typing import Any

import msgspec
from django.db import connection

CACHE_SIZE = 200_000
"""Ids a process keeps of each dimension, some 30 MB, even where a tag is unique per call."""

Name = tuple[str, ...]


@dataclass
class Dimension:
    """The ids of one dimension table's rows by (account, name)."""

    table: str
    key: dict[str, str]
    """The columns that tell rows of an account apart, with their types."""
    values: dict[str, str] = field(default_factory=dict)
    """The columns that follow from the name, with their types."""
    encode: Callable[[Name], tuple[Any, ...]] = tuple
    """A name's value for each column of `key`, then of `values`."""
    _ids: dict[tuple[int, Name], int] = field(default_factory=dict)

    def ids(self, account_id: int, names: Iterable[Name]) -> dict[Name, int]:
        """The id of every name; missing rows are made. Call it outside a transaction."""
        wanted = set(names)
        cached = ((name, self._ids.get((account_id, name))) for name in wanted)
        found = {name: id_ for name, id_ in cached if id_ is not None}
        if missing := sorted(wanted - found.keys()):
            found |= self._remember(account_id, self._find_or_make(account_id, missing))
        return found

    def _find_or_make(self, account_id: int, names: list[Name]) -> dict[Name, int]:
        columns = zip(*(self.encode(name) for name in names), strict=True)
        sent = dict(zip([*self.key, *self.values], map(list, columns), strict=True))
        sent["account_id"] = account_id  # type: ignore[assignment]
        with connection.cursor() as cursor:
            # Look first: INSERT … ON CONFLICT uses up an id for each row that is there already.
            cursor.execute(self._select_sql, sent)
            rows = cursor.fetchall()
            if len(rows) < len(names):
                cursor.execute(self._insert_sql, sent)
                cursor.execute(self._select_sql, sent)
                rows = cursor.fetchall()
        return {names[position - 1]: id_ for position, id_ in rows}

    def _remember(self, account_id: int, ids: dict[Name, int]) -> dict[Name, int]:
        if len(self._ids) + len(ids) > CACHE_SIZE:
            self._ids.clear()
        self._ids.update({(account_id, name): id_ for name, id_ in ids.items()})
        return ids

    @property
    def _select_sql(self) -> str:
        same = " AND ".join(f"kept.{column} = sent.{column}" for column in self.key)
        return (
            f"SELECT sent.position, kept.id FROM {_unnest(self.key)} WITH ORDINALITY"
            f" AS sent ({', '.join(self.key)}, position)"
            f" JOIN {self.table} AS kept ON kept.account_id = %(account_id)s AND {same}"
        )

    @property
    def _insert_sql(self) -> str:
        columns = ", ".join([*self.key, *self.values])
        return (
            f"INSERT INTO {self.table} (account_id, {columns})"
            f" SELECT %(account_id)s, {columns}"
            f" FROM {_unnest(self.key | self.values)} AS sent ({columns})"
            # In key order: two batches that make the same rows the other way round deadlock.
            f" ORDER BY {', '.join(self.key)} ON CONFLICT DO NOTHING"
        )


def _unnest(columns: dict[str, str]) -> str:
    arrays = ", ".join(f"%({column})s::{type_}[]" for column, type_ in columns.items())
    return f"unnest({arrays})"


def tags_name(tags: dict[str, str]) -> Name:
    """A tag set's name: its pairs in order of their keys, flattened."""
    return tuple(chain.from_iterable(sorted(tags.items())))


def _encode_tags(name: Name) -> tuple[bytes, str]:
    tags = dict(zip(name[::2], name[1::2], strict=True))
    digest = blake2b(msgspec.msgpack.encode(name), digest_size=16).digest()
    return digest, msgspec.json.encode(tags).decode()


entities = Dimension("events_entity", key={"entity_type": "text", "entity_id": "text"})
models = Dimension("events_llmmodel", key={"provider": "text", "model": "text"})
tag_sets = Dimension(
    "events_tagset", key={"digest": "bytea"}, values={"tags": "jsonb"}, encode=_encode_tags
)
