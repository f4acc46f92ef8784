"""`manage.py sync_prices`: the price catalogue into the table."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apikeys.management.database import need_tables
from events.price_models import ServiceTier
from events.pricing import catalogue, sync
from events.pricing.catalogue import Key


class Command(BaseCommand):
    help = (
        "Take over what the installed price catalogue (genai-prices) has that the table has not."
        " `migrate` does this by itself; a second time it changes nothing. Prices are never"
        " edited: a change ends one version and opens the next, and what is over stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--quiet", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sync, and say what is new, changed or ended."""
        need_tables()
        report = sync.sync(timezone.now())
        said = {
            "new": report.new,
            "changed": report.changed,
            "ended": report.ended,
            "left as set here": report.own,
        }
        if not options["quiet"]:
            for what, keys in said.items():
                for key in keys:
                    self.stdout.write(f"{what}: {named(key)}")
        counts = ", ".join(f"{len(keys)} {what}" for what, keys in said.items())
        self.stdout.write(f"genai-prices {catalogue.VERSION}: {counts}.")


def named(key: Key) -> str:
    """A price in words."""
    words = [f"{key.provider}/{key.model} {key.unit}"]
    if key.service_tier:
        words.append(ServiceTier(key.service_tier).label)
    if key.context_over:
        words.append(f"over {key.context_over} input tokens")
    if key.daily_from != key.daily_to:
        words.append(f"{key.daily_from:%H:%M} to {key.daily_to:%H:%M} UTC")
    return ", ".join(words)
