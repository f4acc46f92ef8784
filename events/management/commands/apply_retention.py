"""`manage.py apply_retention`: drop the months of the log that every account allows to go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from apikeys.management.database import need_tables
from events import retention


class Command(BaseCommand):
    help = (
        "Drop whole months of events once every account that has events there allows it "
        "(retention_days in the admin). Rollups stay, so totals do not change. The worker does "
        "this once a day by itself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def handle(self, **options: Any) -> None:
        need_tables()
        now = timezone.now()
        verdicts = retention.verdicts(now)
        dropped = [] if options["dry_run"] else retention.apply(now)
        for verdict in verdicts:
            self.stdout.write(f"{verdict.month:%Y-%m}: {self._said(verdict, dropped, options)}")

    def _said(self, verdict: retention.Verdict, dropped: list[Any], options: Any) -> str:
        if not verdict.may_go:
            return f"kept for {', '.join(verdict.keepers)}"
        if options["dry_run"]:
            return "would be dropped"
        return "dropped" if verdict.month in dropped else "busy, try again"
