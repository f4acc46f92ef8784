"""`manage.py import_events`: events from CSV and JSON Lines files."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apikeys.management.accounts import find_or_make_account
from apikeys.management.database import need_tables
from events.importing import Row, check, read_rows, record_rows
from events.management.progress import Progress
from events.mapping import BadImport, Mapping
from events.outcome import CONFLICT, CREATED, DUPLICATE, REJECTED
from events.rules import FieldError

HELP = """\
Import events from CSV and JSON Lines files (.csv .jsonl .ndjson .json, each also .gz, in UTF-8).

A field of an event comes from --set, else from the column of --map, else from the column of its
own name. A column `tags` or `usage` holds a JSON object, `tags.KEY` one tag. Other columns of a CSV
file are ignored, an empty cell is an absent value; another key of a JSON object is refused, as by
the API. A time without an offset is UTC; more than microseconds are cut; without any time, it is
that of the import.

A row without an id gets one from its content: importing it again, in whatever files or order,
adds nothing. Equal rows of one run (all its files) are events of their own.

The good rows are kept, each bad one is reported on stderr as `file:line: field: reason`, and the
exit code is 1 if there was any: a row that is no valid event, or whose id belongs to an event with
other content. Repair those and import the same files again.
"""
EXAMPLE = """\
example:
  manage.py import_events calls.csv --account Acme --map timestamp=TIME input_tokens=PROMPT \\
      output_tokens=COMPLETION tags.team=TEAM --set provider=openai model=gpt-4o
"""


class Command(BaseCommand):
    """Imports files into an account, through the one write path."""

    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the paragraphs of the help."""
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLE, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "files", nargs="*", type=Path, metavar="FILE", help="before the options"
        )
        parser.add_argument("--account", required=True, metavar="NAME", help="made if it is new")
        several: dict[str, Any] = {"action": "extend", "nargs": "+", "default": []}
        parser.add_argument(
            "--map", **several, metavar="field=COLUMN", help="a column, or key, by another name"
        )
        parser.add_argument(
            "--set", **several, metavar="field=VALUE", help="a constant, such as entity_type=team"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import all that is good. Raises CommandError if anything was not."""
        now = timezone.now()
        mapping = self._mapping(options)
        need_tables()
        account, is_new = find_or_make_account(options["account"])
        progress = Progress(self.stderr, "rows")
        if is_new:
            progress.note(f"Made the account {account.name!r}.")
        counts: Counter[str] = Counter()
        for row, outcome in record_rows(account.pk, read_rows(options["files"], mapping, now), now):
            counts[outcome.status] += 1
            for error in outcome.errors:
                progress.note(complaint(row, error))
            progress.show(counts.total())
        progress.end(counts.total())
        self.stdout.write(summary(counts))
        if bad := counts[REJECTED] + counts[CONFLICT]:
            raise CommandError(f"{bad} of {counts.total()} rows were not imported; see above.")

    def _mapping(self, options: dict[str, Any]) -> Mapping:
        """The mapping, once it is sure that every file fits it. Raises CommandError."""
        try:
            mapping = Mapping.read(options["map"], options["set"])
            if not options["files"]:
                raise BadImport("Name at least one file, before the options.")
            check(options["files"], mapping)
        except BadImport as error:
            raise CommandError(str(error)) from error
        return mapping


def complaint(row: Row, error: FieldError) -> str:
    """`file:line: field: reason`."""
    name = error.pointer.removeprefix("/").replace("/", ".")
    name = name.replace("~1", "/").replace("~0", "~")
    where = f"{row.path}:{row.line}: {name}: " if name else f"{row.path}:{row.line}: "
    return where + error.detail.removeprefix(f"`{name}`: ")


def summary(counts: Counter[str]) -> str:
    """What became of the rows."""
    return (
        f"{counts.total()} rows read: {counts[CREATED]} created, {counts[DUPLICATE]} duplicates, "
        f"{counts[CONFLICT]} conflicts, {counts[REJECTED]} rejected."
    )
