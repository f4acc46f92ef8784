"""What the tests of `import_events` share: files, and what is said about them."""

import gzip
from pathlib import Path
from typing import Any

from tests.commandline import Said, call
from tests.conftest import Api

HEAD = "timestamp,model,provider,input_tokens,output_tokens,cost_usd\n"
ROW = "2025-01-15 12:00:00,gpt-4o,openai,100,50,0.5\n"


def write(name: str, content: str | bytes) -> str:
    """A file in the present folder, packed if its name says so."""
    raw = content if isinstance(content, bytes) else content.encode()
    Path(name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return name


def counted(
    read: int, created: int, duplicates: int = 0, conflicts: int = 0, rejected: int = 0
) -> str:
    """The summary of an import."""
    return (
        f"{read} rows read: {created} created, {duplicates} duplicates, "
        f"{conflicts} conflicts, {rejected} rejected.\n"
    )


def complaints(said: Said) -> list[str]:
    """What is on stderr, but for the progress."""
    return [line for line in said.err.splitlines() if " a second" not in line]


def take(api: Api, *arguments: str) -> str:
    """Import what is all good; the summary."""
    said = call("import_events", *arguments, "--account", api.account.name)
    assert (said.failure, complaints(said)) == (None, [])
    return said.out


def stored(api: Api, *keys: str) -> list[Any]:
    """The events by time, the given keys alone."""
    rows = reversed(api.read("/v1/events", limit=1000)["data"])
    return [tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]] for row in rows]
