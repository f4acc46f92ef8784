"""`GET /v1/events`, counted by the rollups where they can."""

from datetime import UTC, datetime

from django_filters import FilterSet

from analytics.periods import Period
from analytics.query import Filters, Query
from analytics.sql import totals
from events.filters import EventFilter, asked_span
from events.retention import log_from
from events.rules import EARLIEST
from events.views import EventsView

FOR_EVER = datetime(2101, 1, 1, tzinfo=UTC)


class CountedEventsView(EventsView):
    """The list of events; its total is a question like any other, unless it is about a session."""

    def total(self, filters: FilterSet) -> int:
        assert isinstance(filters, EventFilter)
        asked = filters.form.cleaned_data
        if asked["session_id"] is not None:
            return super().total(filters)
        since, until = asked_span(asked)
        begins = log_from() or EARLIEST
        period = Period.between(max(since or EARLIEST, begins), until or FOR_EVER)
        # Before the log begins rollups know more than can be listed: only late events are there.
        late = int(filters.qs.filter(timestamp__lt=begins).count()) if begins > EARLIEST else 0
        if period.since >= period.until:
            return late
        query = Query(account_id=self.account.pk, period=period, filters=Filters.of(asked))
        found = totals(query)
        succeeded = found.events - found.failed_events
        counts = {None: found.events, True: succeeded, False: found.failed_events}
        return late + counts[asked["success"]]
