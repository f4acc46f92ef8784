"""Events out of order, late, early and exactly on the edges of buckets; exact all the same."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import time_machine

from events.roller import roll_up
from tests.conftest import event
from tests.test_differential import Tenant

INTERVALS = ("hour", "day", "week", "month")
# A zone, and an hour in which its clocks changed: forward, back, by half an hour, by a whole day.
CHANGES = [
    ("Europe/Berlin", "2025-03-30T01:00:00Z"),
    ("Europe/Berlin", "2025-10-26T01:00:00Z"),
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
    ("Asia/Kathmandu", "2025-03-15T18:15:00Z"),
    ("America/St_Johns", "2025-03-09T05:30:00Z"),
    ("Africa/Cairo", "2025-04-24T22:00:00Z"),
]
NUDGES = [timedelta(0), -timedelta(microseconds=1), timedelta(microseconds=1)]


def around(change: str) -> list[datetime]:
    """Each quarter of an hour about a change, and about some midnights, to the microsecond."""
    middle = datetime.fromisoformat(change)
    quarters = [middle + timedelta(minutes=15) * number for number in range(-8, 9)]
    days = [middle + timedelta(days=number) for number in (-7, -1, 1, 7)]
    return [moment + nudge for moment in quarters + days for nudge in NUDGES]


def sent(moments: list[datetime]) -> list[dict]:
    return [
        event(
            id=f"{number}",
            timestamp=moment.isoformat(),
            session_id=f"s{number % 5}",
            entity_type="team",
            entity_id=f"t{number % 3}",
        )
        for number, moment in enumerate(moments)
    ]


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_events_on_the_edges_of_buckets_out_of_order(zone, change):
    """Some are rolled up before others come, which belong before them."""
    random, tenant = Random(zone), Tenant()
    events = sent(around(change))
    random.shuffle(events)
    middle = datetime.fromisoformat(change).date()
    period = {
        "start_date": (middle - timedelta(days=2)).isoformat(),
        "end_date": (middle + timedelta(days=2)).isoformat(),
        "timezone": zone,
    }
    while events:
        size = random.choice([1, 5, 20])
        tenant.send(events[:size], again=[])
        events = events[size:]
        if random.random() < 0.5:
            roll_up()
        if random.random() < 0.2:
            tenant.check("costs", period | {"group_by": ["entity", "hour"]})
    for interval in INTERVALS:
        tenant.check("costs/timeseries", period | {"interval": interval})
        tenant.check("costs", period | {"group_by": [interval, "entity"]})
    tenant.check("sessions", period)


def test_events_90_days_late_and_clocks_that_disagree():
    """They arrive from one that is 24 hours ahead, one 90 days behind, and one set back."""
    tenant, noon = Tenant(), datetime(2025, 6, 15, 12, tzinfo=UTC)
    arrivals = [noon, noon + timedelta(hours=2), noon - timedelta(hours=1), noon]
    for number, now in enumerate(arrivals):
        with time_machine.travel(now, tick=False):
            moments = [now + timedelta(hours=24), now - timedelta(days=90), now]
            moments += [now - timedelta(days=day) for day in (1, 30, 31, 89, 91, 3000)]
            batch = [row | {"id": f"{number} {row['id']}"} for row in sent(moments)]
            tenant.send(batch, again=tenant.sent[1:4])
            roll_up()
            early = event(timestamp=(now + timedelta(hours=24, seconds=1)).isoformat())
            assert tenant.api.post("/v1/events", early).status_code == 422
        for interval in INTERVALS[1:]:
            asked = {"start_date": "2016-01-01", "end_date": "2025-12-31", "interval": interval}
            tenant.check("costs/timeseries", asked | {"timezone": "Asia/Kathmandu"})
        tenant.check("costs", {"start_date": "2025-03-01", "end_date": "2025-06-30"})
