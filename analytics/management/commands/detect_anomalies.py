"""`manage.py detect_anomalies`: look for the anomalies of days that are over."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from analytics.anomalies import passes
from apikeys.models import Account
from events.days import DAY
from events.ledger import days_of_log
from events.ledger_command import LedgerCommand


class Command(LedgerCommand):
    """Days in order, each judged by what was before it; doing it again changes nothing."""

    help = (
        "Look for anomalies in days that are over (UTC), each judged by the six weeks before it. "
        "The worker does so for the last days and today by itself. A second run adds nothing."
    )

    def handle(self, **options: Any) -> None:
        scope, now = self.scope(options), timezone.now()
        days = [day for day in self._all_days(scope.days, options) if day < now.date()]
        accounts = _accounts(scope.account_id)
        found = sum(self._detect(accounts, day, now) for day in self.progress(days))
        self.stdout.write(f"{found} anomalies in {len(days)} days.")

    def _all_days(self, days: list[date], options: dict[str, Any]) -> Iterator[date]:
        """Also those without events, at the end too: there a cost has dropped."""
        first, last = options["first"], options["last"]
        if first and last and first > last:
            raise CommandError("--from lies after --to.")
        start, end = min(days, default=first), last or max(days, default=first)
        while start and end and start <= end:
            yield start
            start += DAY

    def _detect(self, accounts: list[int], day: date, now: datetime) -> int:
        at = passes.end_of(day)
        return sum(passes.detect_day(account, day, now, detected_at=at) for account in accounts)


def _accounts(account_id: int | None) -> list[int]:
    """The one, or all that have events."""
    if account_id is not None:
        return [account_id]
    accounts = Account.objects.order_by("pk").values_list("pk", flat=True)
    return [account for account in accounts if days_of_log(account)]
