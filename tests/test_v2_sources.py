"""Where the second surface reads: rolled-up days come from rollups, never from the log."""

import logging
import re

import pytest

from events.roller import roll_up
from tests import v2
from tests.conftest import event, new_api

SERIES = ({}, *({"time_series": "true", "bucket_type": name} for name in ("day", "week", "month")))
CASES = [
    (path, asked)
    for path in v2.ANSWERED
    if path != "entity-counts"  # reads entities alone
    for asked in (SERIES if path.endswith(("costs", "tokens", "query-counts")) else SERIES[:1])
]


@pytest.fixture(scope="module")
def rolled_up():
    """An account with an entity of each kind, all of it rolled up."""
    api = new_api()
    kinds = [kind for _, types in v2.KINDS.values() for kind in types]
    api.send(event(), *(event(entity_type=kind, entity_id="1") for kind in kinds))
    while roll_up():
        pass
    return api


@pytest.mark.parametrize(("path", "asked"), CASES)
def test_days_are_read_from_rollups_of_days_and_weeks(rolled_up, caplog, path, asked):
    kind, _ = v2.parts(path)
    ids = {f"{v2.KINDS[kind][0]}_id": ["1", "2"]} if kind else {}
    caplog.set_level(logging.DEBUG, "analytics.facts")
    for meant in ({}, ids):
        rolled_up.get(f"{v2.PREFIX}{path}", **v2.JANUARY, **asked, **meant)
    plans = "".join(record.getMessage() for record in caplog.records)
    sources = set(re.findall(r"\('(\w+)', ", plans))
    if path.endswith("recent"):
        assert sources == set()  # events_entityspend has it
    else:
        assert sources <= {"week_entity", "day_entity", "day_type_model"}
        assert sources
