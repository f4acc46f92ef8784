"""What `verify_rollups` and `rebuild_rollups` share: their scope and their progress."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apikeys.management.database import need_tables
from apikeys.models import Account
from events.ledger import days_of_log


@dataclass(frozen=True, slots=True)
class Scope:
    """Some UTC days of the log, of one account or of all."""

    account_id: int | None
    days: list[date]
    is_whole: bool
    """Whether these are all the days there are, so that sessions can be compared too."""


class LedgerCommand(BaseCommand):
    """A command over the days of the log."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="NAME", help="only this account (default: all)")
        parser.add_argument(
            "--from", dest="first", type=date.fromisoformat, metavar="DAY", help="first UTC day"
        )
        parser.add_argument(
            "--to", dest="last", type=date.fromisoformat, metavar="DAY", help="last UTC day"
        )

    def scope(self, options: dict[str, Any]) -> Scope:
        """What was asked for. Raises CommandError for an account that does not exist."""
        need_tables()
        account_id = self._account_id(options["account"])
        days = days_of_log(account_id)
        first, last = options["first"] or date.min, options["last"] or date.max
        chosen = [day for day in days if first <= day <= last]
        return Scope(account_id, chosen, is_whole=len(chosen) == len(days))

    def progress(self, days: Sequence[date]) -> Iterator[date]:
        """The days one by one, with a line about each on stderr."""
        for number, day in enumerate(days, start=1):
            yield day
            self.stderr.write(f"{day} ({number} of {len(days)})", ending="\n")
            self.stderr.flush()

    def _account_id(self, name: str | None) -> int | None:
        if name is None:
            return None
        try:
            return Account.objects.get(name=name).pk
        except Account.DoesNotExist as error:
            raise CommandError(f"There is no account {name!r}.") from error
