"""`manage.py rebuild_rollups`: make the rollups anew from the log."""

from typing import Any

from events import ledger
from events.ledger_command import LedgerCommand


class Command(LedgerCommand):
    help = (
        "Make every rollup anew from the log, day by day. Ingest goes on meanwhile, and every "
        "answer stays exact: a day is replaced in one transaction."
    )

    def handle(self, **options: Any) -> None:
        scope = self.scope(options)
        for day in self.progress(scope.days):
            ledger.rebuild_day(day, scope.account_id)
        if scope.is_whole:
            ledger.rebuild_whole(scope.account_id)
        self.stdout.write(f"Rebuilt (days: {len(scope.days)})")
