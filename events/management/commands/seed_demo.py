"""`manage.py seed_demo`: demo data, the same for the same seed."""

from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apikeys.management.accounts import find_or_make_account
from apikeys.management.database import need_tables
from events.demo_cast import CAST
from events.demo_data import Plan
from events.ingest import record_events
from events.management.progress import Progress
from events.models import Entity
from events.outcome import CONFLICT, CREATED, DUPLICATE
from events.rules import EARLIEST
from events.schema import NewEvent, normalise

BATCH = 5_000  # events in memory, and in a transaction
EVENTS = 100_000
DAYS = 90


class Command(BaseCommand):
    """Records demo data in an account, through the one write path."""

    help = (
        "Fill an account with believable demo data: business hours, growth, quiet weekends, a "
        "few spikes, several providers, sessions, tags, failures. The same options give the same "
        "events, so a second run adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--events", type=int, default=EVENTS, metavar="N", help="(%(default)s)")
        parser.add_argument("--days", type=int, default=DAYS, metavar="D", help="(%(default)s)")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="(%(default)s)")
        parser.add_argument(
            "--end",
            type=day,
            metavar="YYYY-MM-DD",
            help="the day (UTC) before which the data ends (default: today)",
        )
        parser.add_argument("--account", default="Demo", metavar="NAME", help="(%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Generate and record. Raises CommandError for a plan that cannot be."""
        now = timezone.now()
        end = options["end"] or now.date()
        plan = checked(Plan(options["events"], options["days"], end, options["seed"]), now)
        need_tables()
        account, _ = find_or_make_account(options["account"])
        progress = Progress(self.stderr, "events", plan.events)
        counts: Counter[str] = Counter()
        for batch in batches(plan, now):
            outcomes = record_events(account.pk, batch, received_at=now)
            counts.update(outcome.status for outcome in outcomes)
            progress.show(counts.total())
        progress.end(counts.total())
        name_entities(account.pk)
        self.stdout.write(
            f"{account.name}: {counts[CREATED]} events created, {counts[DUPLICATE]} were there."
        )
        if counts[CONFLICT]:
            raise CommandError(
                f"{counts[CONFLICT]} events are there with other content: this account was filled "
                "by another version of this command. Take another --seed or --account."
            )


def day(text: str) -> date:
    """An option's day. Raises ArgumentTypeError."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day, YYYY-MM-DD") from error


def checked(plan: Plan, now: datetime) -> Plan:
    """The plan, if it can be carried out. Raises CommandError."""
    if plan.events < 1:
        raise CommandError("--events: at least 1.")
    if plan.days < 1 or plan.days > (plan.end - EARLIEST.date()).days:
        raise CommandError(f"--days: at least 1, and none before {EARLIEST:%Y-%m-%d}.")
    if plan.end > now.date():
        raise CommandError(f"--end: not after today, {now:%Y-%m-%d} in UTC.")
    return plan


def batches(plan: Plan, now: datetime) -> Iterator[list[NewEvent]]:
    """The plan's events, checked as those of a client are."""
    events = (normalise(event, now) for event in plan.generate())
    while batch := list(islice(events, BATCH)):
        yield batch


def name_entities(account_id: int) -> None:
    """Give the demo's entities their names, unless they have been given one."""
    for actor in CAST:
        Entity.objects.filter(
            account_id=account_id, entity_type=actor.type, entity_id=actor.id, name=""
        ).update(name=actor.name)
