"""An anomaly follows what `reprice` makes of a day that is rolled up, and what undoing it does."""

from datetime import timedelta
from typing import Any

from analytics.anomalies import passes
from events.price_models import Repricing
from tests.commandline import call
from tests.conftest import Api
from tests.test_anomalies import ACME, DAY, before, detect, told
from tests.test_reprice import acme, reprice, roll_up_all, set_price, verified


def look_again(api: Api) -> list[tuple[Any, ...]]:
    """What is told an hour after the day."""
    passes.detect(api.account.pk, passes.end_of(DAY) + timedelta(hours=1))
    return told(api, "id", "type", "expected_value", "actual_value", "status")


def test_a_wrong_price_is_told_and_its_correction_resolves_it(api):
    """100 tokens a day, at 0.125 USD; from the last day on, by mistake, at 0.55."""
    set_price(api, "input", "0.125")
    set_price(api, "output", "0")
    set_price(api, "input", "0.55", valid_from=f"{DAY}T00:00:00Z")
    api.send(*(acme(timestamp=f"{day}T09:00:00Z", **ACME) for day in [*before(7), DAY]))
    roll_up_all()
    detect(api)
    (found,) = told(api, "id", "type", "expected_value", "actual_value", "status")
    assert found[1:] == ("cost_spike", "12.50", "55.00", "active")

    set_price(api, "input", "0.125", valid_from=f"{DAY}T00:00:00Z")
    assert "1 events, 55.00 -> 12.50 USD" in reprice(api, "--apply")
    verified(api)
    assert look_again(api) == [(*found[:4], "resolved")]

    run = Repricing.objects.get(account=api.account)
    assert call("reprice", "--undo", run.pk).failure is None
    assert look_again(api) == [found]
