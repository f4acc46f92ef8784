"""`manage.py reprice`: give events other costs after the fact; undo that."""

from argparse import ArgumentParser
from datetime import UTC, date, datetime, time, timedelta
from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apikeys.management.database import need_tables
from apikeys.models import Account
from events.money import plain
from events.pricing.reprice import Change, Refused, Scope, reprice, undo


class Command(BaseCommand):
    help = (
        "Price events anew by the price table: each at the prices of its own instant. Without"
        " --apply it only says what would change, by model. Reported costs stay, unless"
        " --reported is given. A run changes log and rollups in one transaction, leaves an audit"
        " record, and can be undone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--account", metavar="NAME", help="only this account (default: all)")
        parser.add_argument("--provider", metavar="NAME")
        parser.add_argument("--model", metavar="NAME")
        for name, help_ in (("--from", "first UTC day"), ("--to", "last UTC day")):
            parser.add_argument(name, type=date.fromisoformat, metavar="DAY", help=help_)
        parser.add_argument("--unpriced", action="store_true", help="only events without a cost")
        parser.add_argument("--reported", action="store_true", help="reported costs too")
        parser.add_argument("--apply", action="store_true", help="do it")
        parser.add_argument("--undo", type=int, metavar="RUN", help="give a run's events back")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run. Raises CommandError for what cannot be."""
        need_tables()
        now = timezone.now()
        made_by = f"command, {getuser()}"
        try:
            if options["undo"] is not None:
                run = undo(options["undo"], now=now, made_by=made_by)
                self.stdout.write(f"Run {run.pk} is undone: {run.events} events.")
                return
            outcome = reprice(scope(options), now=now, made_by=made_by, apply=options["apply"])
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        for change in outcome.changes:
            self.stdout.write(said(change))
        events = sum(change.events for change in outcome.changes)
        done = f"Run {outcome.run.pk}: priced anew" if outcome.run else "Would be priced anew"
        self.stdout.write(f"{done}: {events} events.")


def scope(options: dict[str, Any]) -> Scope:
    """What was asked for. Raises CommandError for an account that does not exist."""
    account = Account.objects.filter(name=options["account"]).first()
    if options["account"] is not None and account is None:
        raise CommandError(f"There is no account {options['account']!r}.")
    first, last = options["from"], options["to"]
    return Scope(
        account_id=account.pk if account else None,
        provider=options["provider"],
        model=options["model"],
        since=first and midnight(first),
        until=last and midnight(last + timedelta(days=1)),
        only_unpriced=options["unpriced"],
        reported=options["reported"],
    )


def midnight(day: date) -> datetime:
    """The instant at which a UTC day begins."""
    return datetime.combine(day, time(), UTC)


def said(change: Change) -> str:
    """One line."""
    costs = f"{plain(change.cost_before)} -> {plain(change.cost_after)} USD"
    unpriced = f"{change.unpriced_before} -> {change.unpriced_after} unpriced"
    return f"{change.provider}/{change.model}: {change.events} events, {costs}, {unpriced}"
