"""`manage.py verify_rollups`: do the rollups still say what the log says?"""

from typing import Any

from django.core.management.base import CommandError

from events import ledger
from events.ledger_command import LedgerCommand


class Command(LedgerCommand):
    help = (
        "Compare every rollup with the log, day by day, and print where they differ. "
        "Exits 1 on any difference. Ingest and roll-up may go on meanwhile."
    )

    def handle(self, **options: Any) -> None:
        scope = self.scope(options)
        found = 0
        for day in self.progress(scope.days):
            found += self._show(ledger.day_differences(day, scope.account_id))
        if scope.is_whole:
            found += self._show(ledger.whole_differences(scope.account_id))
        if found:
            raise CommandError(f"{found} rows differ from the log.")
        self.stdout.write(f"rollups + tail = log (days compared: {len(scope.days)})")

    def _show(self, differences: list[ledger.Difference]) -> int:
        for difference in differences:
            self.stdout.write(f"{difference.table}: kept {difference.kept}, log {difference.log}")
        return len(differences)
