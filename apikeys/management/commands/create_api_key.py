"""`manage.py create_api_key`: a new key, for a new account or one that is there."""

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from apikeys.management.accounts import find_or_make_account
from apikeys.management.database import need_tables
from apikeys.models import Account, Plan, Scope, issue_key

MOST_DAYS = 36_500


class Command(BaseCommand):
    """Prints the key alone on stdout, for `KEY=$(manage.py create_api_key …)`; notes on stderr."""

    help = (
        "Make an API key and print it, alone, on stdout. It is shown this once. "
        "An account that does not exist yet is made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--account", required=True, metavar="NAME", help="whose key it is")
        parser.add_argument("--email", metavar="E", help="of a new account")
        parser.add_argument(
            "--plan", choices=Plan.values, help=f"of a new account (default: {Plan.ENTERPRISE})"
        )
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="extend",
            nargs="+",
            choices=Scope.values,
            metavar="SCOPE",
            help=f"what the key may do, of {', '.join(Scope.values)} (default: all)",
        )
        parser.add_argument(
            "--expires-in", type=int, metavar="DAYS", help="from now (default: never)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the key. Raises CommandError; then neither account nor key was made."""
        need_tables()
        expires_at = expiry(options["expires_in"], timezone.now())
        fields = {name: options[name] for name in ("email", "plan") if options[name] is not None}
        with transaction.atomic():
            account, is_new = find_or_make_account(options["account"], **fields)
            check_unchanged(account, fields)
            row, key = issue_key(
                account, scopes=options["scopes"] or Scope.values, expires_at=expires_at
            )
        if is_new:
            self._note(f"Made the account {account.name!r} on the plan {account.plan}.")
        until = f"until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "until revoked"
        self._note(f"The key may {', '.join(row.scopes)}, {until}. It is not shown again.")
        self.stdout.write(key)

    def _note(self, text: str) -> None:
        self.stderr.write(text, str)  # `str`: as it is, not in the red of errors


def expiry(days: int | None, now: datetime) -> datetime | None:
    """The end of a key's life. Raises CommandError for a number of days that makes no sense."""
    if days is None:
        return None
    if not 1 <= days <= MOST_DAYS:
        raise CommandError(f"--expires-in: {days} is not a number of days from 1 to {MOST_DAYS}.")
    return now + timedelta(days=days)


def check_unchanged(account: Account, fields: dict[str, str]) -> None:
    """Raises CommandError if the account is not as `fields` say: a key is no way to change it."""
    for name, value in fields.items():
        if (kept := getattr(account, name)) != value:
            raise CommandError(
                f"--{name}: the account {account.name!r} exists with {name} {kept!r}. "
                "Leave the option out, or change the account in the admin."
            )
