"""Price versions: whose comes first, since when they hold, and that the past stays as it was."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
)

from analytics.worker import roll_up
from events.price_models import Price, PriceBook
from events.pricing.sync import sync
from tests import commandline
from tests.conftest import event
from tests.problems import problem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLOSED = {"start_date": "2026-11-01", "end_date": "2026-11-22"}
_numbers = count()


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def model() -> str:
    """A model that nobody has met."""
    return f"model-{next(_numbers)}"


def price(model: str, unit: str, per_million: str, **more: Any) -> dict[str, Any]:
    usd = f"{Decimal(per_million).scaleb(-6):f}"
    return {"provider": "acme", "model": model, "unit": unit, "usd_per_unit": usd, **more}


def call(model: str, when: str, **more: Any) -> dict[str, Any]:
    """1,000 tokens in, 100 out."""
    tokens = {"input_tokens": 1000, "output_tokens": 100}
    named = {"provider": "acme", "model": model, "timestamp": when, "cost_usd": None}
    return event(**named, **tokens, **more)


def post(api: Any, *prices: dict[str, Any]) -> Any:
    response = api.post("/v1/prices", {"prices": list(prices)})
    assert response.status_code == 201, response.content
    return response.json()["data"]


def cost(api: Any, sent: dict[str, Any]) -> Any:
    """What an event costs, by recording it."""
    id_ = api.post("/v1/events", sent).json()["id"]
    return api.read(f"/v1/events/{id_}")["cost_usd"]


def test_price_changed_today_leaves_closed_days_as_they_were(api, clock, model):
    post(api, price(model, "input", "2"), price(model, "output", "8"))
    acme = {"entity_type": "customer", "entity_id": "acme", "session_id": "s"}
    api.send(*(call(model, f"2026-11-{day:02}T12:00:00Z", **acme) for day in range(1, 23)))
    roll_up(NOW)
    before = answers(api)
    assert "0.0616" in before[0]

    changed = post(api, price(model, "input", "20"), price(model, "output", "80"))

    assert answers(api) == before
    roll_up(NOW)
    assert answers(api) == before
    assert [version["valid_from"] for version in changed] == ["2026-11-23T12:00:00Z"] * 2
    assert cost(api, call(model, "2026-11-23T11:59:59.999999Z")) == "0.0028"
    assert cost(api, call(model, "2026-11-23T12:00:00Z")) == "0.028"
    clock.shift(timedelta(days=3))
    assert cost(api, call(model, "2026-11-22T12:00:00Z")) == "0.0028"


def answers(api: Any) -> list[str]:
    """Every answer about the closed days, byte by byte."""
    compared = {"period1_start": "2026-11-12", "period1_end": "2026-11-22"} | {
        "period2_start": "2026-11-01",
        "period2_end": "2026-11-11",
    }
    asked = [
        ("costs", CLOSED),
        ("costs", CLOSED | {"group_by": "day,model"}),
        ("costs/timeseries", CLOSED | {"timezone": "Asia/Kathmandu"}),
        ("costs/accuracy", CLOSED),
        ("models", CLOSED),
        ("entities/top", CLOSED),
        ("sessions", CLOSED),
        ("compare", compared),
    ]
    read = [api.get(f"/v1/analytics/{name}", **params).content.decode() for name, params in asked]
    return [*read, api.get("/v1/events", **CLOSED).content.decode()]


def test_own_price_comes_before_everybodys_for_its_unit_alone(api, other):
    own = {"provider": "openai", "model": "gpt-4o", "unit": "output", "usd_per_unit": "0.000001"}
    asked = {
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "timestamp": "2025-01-15T12:00:00Z",
    }
    asked |= {"input_tokens": 1000, "output_tokens": 100}
    post(api, own)
    assert quoted(api, asked)["cost_usd"] == 0.0026
    assert quoted(other, asked)["cost_usd"] == 0.0035


def quoted(api: Any, sent: dict[str, Any]) -> Any:
    response = api.post("/v1/prices/quote", sent)
    assert response.status_code == 200, response.content
    return response.json()


def test_star_matches_what_begins_so_and_the_longest_counts(api, model):
    post(
        api,
        price(f"{model}*", "input", "1"),
        price(f"{model}-large*", "input", "2"),
        price(f"{model}-large-3", "input", "3"),
        price(f"{model}*", "output", "0"),
    )
    named = {"": "1", "-small": "1", "-large": "2", "-large-2": "2", "-large-3": "3"}
    for name, usd in named.items():
        answer = quoted(api, call(f"{model}{name}".upper(), "2026-11-01T00:00:00Z"))
        assert Decimal(str(answer["cost_usd"])) == Decimal(usd).scaleb(-3), name


def test_price_from_a_time_in_the_past_splits_what_was_valid_then(api, model):
    post(api, price(model, "input", "1"), price(model, "output", "0"))
    post(api, price(model, "input", "3", valid_from="2026-11-20T00:00:00Z"))
    post(api, price(model, "input", "2", valid_from="2026-11-10T02:00:00+02:00"))
    post(api, price(model, "input", "4", valid_from="2026-11-20T00:00:00Z"))
    listed = api.read("/v1/prices", model=model, unit="input")["data"]
    assert [(row["usd_per_unit"], row["valid_from"], row["valid_to"]) for row in listed] == [
        ("0.000001", None, "2026-11-10T00:00:00Z"),
        ("0.000002", "2026-11-10T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("0.000004", "2026-11-20T00:00:00Z", None),
    ]
    at = {"2026-11-09T23:59:59.999999Z": 1, "2026-11-10T00:00:00Z": 2, "2026-11-20T00:00:00Z": 4}
    for when, usd in at.items():
        assert quoted(api, call(model, when))["cost_usd"] == usd / 1000


def test_same_price_again_changes_nothing(api, model):
    first = post(api, price(model, "input", "1"))
    version = PriceBook.objects.get().version
    assert post(api, price(model, "input", "1.00")) == first
    assert Price.objects.filter(model=model).count() == 1
    assert PriceBook.objects.get().version == version + 1


def test_prices_are_those_of_the_account_and_of_everybody(api, other, model):
    (mine,) = post(api, price(model, "input", "1"))
    assert mine == {
        "id": mine["id"],
        "scope": "account",
        "provider": "acme",
        "model": model,
        "unit": "input",
        "service_tier": "standard",
        "context_over": 0,
        "daily_from": None,
        "daily_to": None,
        "usd_per_unit": 0.000001,
        "valid_from": None,
        "valid_to": None,
        "dated": False,
        "source": "api",
        "source_version": "",
    }
    assert api.read("/v1/prices", model=model)["pagination"]["total"] == 1
    assert other.read("/v1/prices", model=model)["data"] == []
    tiers = api.read("/v1/prices", provider="OpenAI", model="GPT-5", unit="input", at="2026-11-01")
    assert [(row["service_tier"], row["usd_per_unit"]) for row in tiers["data"]] == [
        ("standard", "0.00000125"),
        ("batch", "0.000000625"),
        ("flex", "0.000000625"),
        ("priority", "0.0000025"),
    ]
    assert api.csv("/v1/prices", model=model).split("\r\n")[1] == (
        f"{mine['id']},account,acme,{model},input,standard,0,,,0.000001,,,false,api,"
    )


def test_every_fault_of_prices_is_named_and_none_is_added(api, model):
    good = price(model, "input", "1")
    sent = [
        good,
        {**good, "unit": "tokens", "usd_per_unit": -1, "note": "x", "service_tier": "slow"},
        {"provider": "", "model": 5, "unit": "input"},
        {**good, "usd_per_unit": "1e-25", "valid_from": "tomorrow", "context_over": 1.5},
        7,
    ]
    body = problem(api.post("/v1/prices", {"prices": sent}), 422)
    assert {error["pointer"] for error in body["errors"]} == {
        *(f"/prices/1/{name}" for name in ("unit", "usd_per_unit", "note", "service_tier")),
        *(f"/prices/2/{name}" for name in ("provider", "model", "usd_per_unit")),
        *(f"/prices/3/{name}" for name in ("usd_per_unit", "valid_from", "context_over")),
        "/prices/4",
    }
    assert not Price.objects.filter(model=model).exists()
    for bad in ({"prices": []}, {"prices": 3}, [good], 3):
        problem(api.post("/v1/prices", bad), 422)
    problem(api.post("/v1/prices", b"{"), 400)


def test_quote_records_nothing_and_says_what_a_cost_is_made_of(api, model):
    post(api, price(model, "input", "2"), price(model, "request", "5000"))
    sent = call(model, "2026-11-01T00:00:00Z") | {"output_tokens": 0, "cost_usd": "0.5"}
    answer = quoted(api, sent)
    ids = [line.pop("price_id") for line in answer["breakdown"]]
    assert ids == [row["id"] for row in api.read("/v1/prices", model=model)["data"]]
    assert answer == {
        "provider": "acme",
        "model": model,
        "timestamp": "2026-11-01T00:00:00Z",
        "service_tier": "standard",
        "input_tokens": 1000,
        "output_tokens": 0,
        "cost_usd": 0.5,
        "cost_source": "reported",
        "computed_cost_usd": 0.007,
        "breakdown": [
            {"unit": "input", "quantity": 1000, "usd_per_unit": 0.000002, "cost_usd": 0.002},
            {"unit": "request", "quantity": 1, "usd_per_unit": 0.005, "cost_usd": 0.005},
        ],
    }
    assert api.read("/v1/events")["pagination"]["total"] == 0
    problem(api.post("/v1/prices/quote", {"events": [sent]}), 422)
    problem(api.post("/v1/prices/quote", {**sent, "model": 1}), 422)


def test_cost_that_no_event_can_have_is_unknown(api, model):
    post(api, price(model, "input", "1000000"))
    sent = call(model, "2026-11-01T00:00:00Z") | {"output_tokens": 0}
    assert quoted(api, sent | {"input_tokens": 999_999_999})["cost_usd"] == 999_999_999
    assert quoted(api, sent | {"input_tokens": 10**9})["cost_usd"] is None


def test_database_lets_nobody_edit_or_overlap_a_version(api, model):
    post(api, price(model, "input", "1", valid_from="2026-01-01T00:00:00Z"))
    version = Price.objects.get(model=model)
    edits = [{"usd_per_unit": 2}, {"valid_from": None}, {"source": "admin"}]
    for edit in edits:
        with pytest.raises(IntegrityError), transaction.atomic():
            Price.objects.filter(pk=version.pk).update(**edit)
    with pytest.raises(IntegrityError), transaction.atomic():
        version.delete()
    Price.objects.filter(pk=version.pk).update(valid_to="2026-02-01T00:00:00Z")
    with pytest.raises(IntegrityError), transaction.atomic():
        Price.objects.filter(pk=version.pk).update(valid_to=None)
    fields = ("account_id", "provider", "model", "unit", "usd_per_unit", "source")
    same = {name: getattr(version, name) for name in fields}
    with pytest.raises(IntegrityError, match="price_versions_disjoint"), transaction.atomic():
        Price.objects.create(**same, valid_from="2026-01-31T23:59:59Z", created_at=Now())


# --- the catalogue ---------------------------------------------------------------------------


@pytest.fixture
def catalogue(model):
    """Sets what the catalogue lists of one model of a provider of its own."""

    def listed(prices: Any, *more: ModelInfo) -> None:
        info = ModelInfo(id=model, match=ClauseEquals(equals=model), prices=prices)
        provider = Provider(id=model, name=model, api_pattern="", models=[info, *more])
        set_custom_snapshot(DataSnapshot(providers=[provider], from_auto_update=False))

    yield listed
    set_custom_snapshot(None)


def versions(model: str) -> list[tuple[Any, ...]]:
    rows = Price.objects.filter(provider=model).order_by("unit", "context_over", "pk")
    return [
        (row.unit, row.context_over, row.usd_per_unit * 10**6, row.valid_from, row.valid_to)
        for row in rows
    ]


def of(**usd: str) -> ModelPrice:
    return ModelPrice(**{name: Decimal(value) for name, value in usd.items()})


def from_day(day: str, prices: ModelPrice) -> ConditionalPrice:
    start = StartDateConstraint(start_date=datetime.fromisoformat(day).date())
    return ConditionalPrice(start, prices=prices)


def test_undated_price_holds_from_the_beginning_and_changes_from_now_on(catalogue, model, clock):
    catalogue(of(input_mtok="1", output_mtok="5"))
    assert len(sync(NOW).new) == 2
    assert set(Price.objects.filter(provider=model).values_list("is_dated", flat=True)) == {False}
    assert sync(NOW).new == sync(NOW).changed == []
    catalogue(of(input_mtok="2", output_mtok="5", cache_read_mtok="0.5"))
    later = NOW + timedelta(days=1)
    report = sync(later)
    assert [(key.unit, len(report.ended)) for key in report.changed] == [("input", 0)]
    assert versions(model) == [
        ("cache_read", 0, Decimal("0.5"), later, None),
        ("input", 0, 1, None, later),
        ("input", 0, 2, later, None),
        ("output", 0, 5, None, None),
    ]


def test_dated_change_ends_what_held_until_further_notice_but_nothing_that_is_over(
    catalogue, model
):
    day, earlier = datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    catalogue(of(input_mtok="1"))
    sync(NOW)
    catalogue(
        [ConditionalPrice(prices=of(input_mtok="1")), from_day("2026-11-09", of(input_mtok="2"))]
    )
    assert len(sync(NOW).changed) == 1
    expected = [("input", 0, 1, None, day), ("input", 0, 2, day, None)]
    assert versions(model) == expected
    # It learns of an earlier change, which lies in a version that is over: that stays.
    first = ConditionalPrice(prices=of(input_mtok="1"))
    catalogue(
        [
            first,
            from_day("2026-06-01", of(input_mtok="7")),
            from_day("2026-11-09", of(input_mtok="2")),
        ]
    )
    assert sync(NOW).changed == []
    assert versions(model) == expected
    assert earlier not in {row[3] for row in versions(model)}


def test_context_tier_that_is_dropped_ends_and_a_model_that_is_dropped_does_not(catalogue, model):
    tiered = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(2))])
    catalogue(ModelPrice(input_mtok=tiered))
    sync(NOW)
    catalogue(of(input_mtok="1"))
    assert [key.context_over for key in sync(NOW).ended] == [200_000]
    expected = [("input", 0, 1, None, None), ("input", 200_000, 2, None, NOW)]
    assert versions(model) == expected
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=False))
    report = sync(NOW)
    assert (report.new, report.changed, report.ended) == ([], [], [])
    assert versions(model) == expected


def test_tier_that_is_dropped_at_a_date_ends_then(catalogue, model):
    tiered = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(2))])
    catalogue(ModelPrice(input_mtok=tiered))
    sync(NOW)
    day = datetime(2026, 3, 13, tzinfo=UTC)
    first = ConditionalPrice(prices=ModelPrice(input_mtok=tiered))
    catalogue([first, from_day("2026-03-13", of(input_mtok="1"))])
    assert [key.context_over for key in sync(NOW).ended] == [200_000]
    expected = [("input", 0, 1, None, None), ("input", 200_000, 2, None, day)]
    assert versions(model) == expected
    assert sync(NOW).ended == []
    assert versions(model) == expected


def test_price_that_was_set_here_is_left(catalogue, model):
    own = {"provider": model, "model": model, "unit": "input", "source": "admin"}
    Price.objects.create(**own, usd_per_unit="0.000009")
    catalogue(of(input_mtok="1"))
    assert [key.unit for key in sync(NOW).own] == ["input"]
    assert versions(model) == [("input", 0, 9, None, None)]


def test_command_says_what_is_new_and_a_second_time_nothing(catalogue, model):
    catalogue(of(input_mtok="1"))
    assert commandline.call("sync_prices").out == (
        f"new: {model}/{model} input\n"
        "genai-prices 0.2.3: 1 new, 0 changed, 0 ended, 0 left as set here.\n"
    )
    assert commandline.call("sync_prices", "--quiet").out == (
        "genai-prices 0.2.3: 0 new, 0 changed, 0 ended, 0 left as set here.\n"
    )


def test_migrated_database_has_the_prices_of_the_catalogue():
    assert Price.objects.filter(source="genai-prices", account=None).count() > 5000
    assert PriceBook.objects.get().catalogue == "0.2.3"


@pytest.mark.parametrize("usd", ["747047.391486630123456789012345", "0.000000000000000000000001"])
def test_price_of_many_digits_is_kept_exactly(api, model, usd):
    sent = {"provider": "acme", "model": model, "unit": "input", "usd_per_unit": usd}
    assert api.post("/v1/prices", sent).status_code == 201
    (row,) = api.read("/v1/prices", model=model)["data"]
    assert row["usd_per_unit"] == usd


def test_name_that_grows_in_lower_case_is_refused(api):
    sent = {"provider": "acme", "model": "İ" * 101, "unit": "input", "usd_per_unit": "1"}
    answer = problem(api.post("/v1/prices", sent), 422)
    assert [error["pointer"] for error in answer["errors"]] == ["/model"]
