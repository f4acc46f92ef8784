"""A realistic request and its answer for each operation, and an example of each error."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from analytics.answers import comparison_rows
from events.export import csv_response


def _exact(text: str) -> Decimal | float:
    """Money has two places or more, and keeps them: 450.00; a percentage has one."""
    return Decimal(text) if len(text.partition(".")[2]) > 1 else float(text)


EXAMPLES: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("examples.json").read_text(), parse_float=_exact
)


def as_csv(answer: dict[str, Any]) -> str:
    """The answer of an example as `format=csv` writes it."""
    rows = answer["data"] if "data" in answer else list(comparison_rows(answer))
    chunks: Any = csv_response("", list(rows[0]), rows).streaming_content
    return b"".join(chunks).decode()


def as_lines(events: list[dict[str, Any]]) -> str:
    """The events of an example as NDJSON."""
    return "".join(f"{json.dumps(event)}\n" for event in events)
