"""Providers' usage objects: whatever is in one, its units are disjoint and add up to the whole."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.price_models import Unit
from events.rules import FieldError
from events.tokens import parts
from events.usage import read_usage
from tests.conftest import Api, event, new_api
from tests.problems import problem

COUNTS = st.integers(0, 300_000)
PRICED = [
    ("openai", "gpt-realtime"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.0-flash"),
    ("perplexity", "sonar-deep-research"),
]


def openai(input: str, output: str) -> Any:
    def shape(n: dict[Unit, int]) -> dict[str, Any]:
        cached = n[Unit.CACHE_READ] + n[Unit.CACHE_READ_AUDIO]
        audio = n[Unit.INPUT_AUDIO] + n[Unit.CACHE_READ_AUDIO]
        of_input = n[Unit.INPUT] + n[Unit.CACHE_WRITE] + n[Unit.INPUT_AUDIO] + cached
        return {
            f"{input}_tokens": of_input,
            f"{input}_tokens_details": {
                "cached_tokens": cached,
                "cached_tokens_details": {"audio_tokens": n[Unit.CACHE_READ_AUDIO]},
                "cache_write_tokens": n[Unit.CACHE_WRITE],
                "audio_tokens": audio,
            },
            f"{output}_tokens": n[Unit.OUTPUT] + n[Unit.REASONING] + n[Unit.OUTPUT_AUDIO],
            f"{output}_tokens_details": {
                "reasoning_tokens": n[Unit.REASONING],
                "audio_tokens": n[Unit.OUTPUT_AUDIO],
            },
        }

    return shape


def anthropic(n: dict[Unit, int]) -> dict[str, Any]:
    return {
        "input_tokens": n[Unit.INPUT],
        "cache_read_input_tokens": n[Unit.CACHE_READ],
        "cache_creation_input_tokens": n[Unit.CACHE_WRITE] + n[Unit.CACHE_WRITE_1H],
        "cache_creation": {
            "ephemeral_5m_input_tokens": n[Unit.CACHE_WRITE],
            "ephemeral_1h_input_tokens": n[Unit.CACHE_WRITE_1H],
        },
        "output_tokens": n[Unit.OUTPUT] + n[Unit.REASONING],
        "output_tokens_details": {"thinking_tokens": n[Unit.REASONING]},
    }


def bedrock(n: dict[Unit, int]) -> dict[str, Any]:
    return {
        "inputTokens": n[Unit.INPUT],
        "outputTokens": n[Unit.OUTPUT],
        "cacheReadInputTokens": n[Unit.CACHE_READ],
        "cacheWriteInputTokens": n[Unit.CACHE_WRITE] + n[Unit.CACHE_WRITE_1H],
        "cacheDetails": [
            {"ttl": "1h", "inputTokens": n[Unit.CACHE_WRITE_1H]},
            {"ttl": "5m", "inputTokens": n[Unit.CACHE_WRITE]},
        ],
    }


def gemini(n: dict[Unit, int]) -> dict[str, Any]:
    cached = n[Unit.CACHE_READ] + n[Unit.CACHE_READ_AUDIO] + n[Unit.CACHE_READ_IMAGE]
    media = n[Unit.INPUT_AUDIO] + n[Unit.INPUT_IMAGE] + n[Unit.INPUT_VIDEO]
    return {
        "promptTokenCount": n[Unit.INPUT] + media + cached,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": n[Unit.INPUT] + n[Unit.CACHE_READ]},
            {"modality": "AUDIO", "tokenCount": n[Unit.INPUT_AUDIO] + n[Unit.CACHE_READ_AUDIO]},
            {"modality": "DOCUMENT", "tokenCount": n[Unit.INPUT_IMAGE] + n[Unit.CACHE_READ_IMAGE]},
            {"modality": "VIDEO", "tokenCount": n[Unit.INPUT_VIDEO]},
        ],
        "cachedContentTokenCount": cached,
        "cacheTokensDetails": [
            {"modality": "AUDIO", "tokenCount": n[Unit.CACHE_READ_AUDIO]},
            {"modality": "IMAGE", "tokenCount": n[Unit.CACHE_READ_IMAGE]},
        ],
        "candidatesTokenCount": n[Unit.OUTPUT] + n[Unit.OUTPUT_IMAGE],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": n[Unit.OUTPUT_IMAGE]}],
        "thoughtsTokenCount": n[Unit.REASONING],
    }


OF_OPENAI = [
    *(Unit.INPUT, Unit.CACHE_READ, Unit.CACHE_WRITE, Unit.OUTPUT, Unit.REASONING),
    *(Unit.INPUT_AUDIO, Unit.CACHE_READ_AUDIO, Unit.OUTPUT_AUDIO),
]
OF_BEDROCK = [Unit.INPUT, Unit.CACHE_READ, Unit.CACHE_WRITE, Unit.CACHE_WRITE_1H, Unit.OUTPUT]
OF_GEMINI = [
    *(Unit.INPUT, Unit.CACHE_READ, Unit.OUTPUT, Unit.REASONING, Unit.INPUT_AUDIO),
    *(Unit.INPUT_IMAGE, Unit.INPUT_VIDEO, Unit.CACHE_READ_AUDIO, Unit.CACHE_READ_IMAGE),
    Unit.OUTPUT_IMAGE,
]
SHAPES: dict[str, tuple[Any, list[Unit]]] = {
    "openai chat": (openai("prompt", "completion"), OF_OPENAI),
    "openai responses": (openai("input", "output"), OF_OPENAI),
    "anthropic": (anthropic, [*OF_BEDROCK, Unit.REASONING]),
    "bedrock": (bedrock, OF_BEDROCK),
    "gemini": (gemini, OF_GEMINI),
}


@st.composite
def used(draw: Any) -> tuple[str, dict[Unit, int]]:
    """A shape, and how many of each unit that it can tell."""
    name = draw(st.sampled_from(list(SHAPES)))
    units = SHAPES[name][1]
    return name, {unit: draw(COUNTS) if unit in units else 0 for unit in Unit}


@given(used())
def test_units_are_disjoint_and_add_up(drawn):
    name, counts = drawn
    errors: list[FieldError] = []
    tokens = read_usage(SHAPES[name][0](counts), errors)
    assert errors == []
    assert tokens is not None
    found = parts(tokens)
    assert {unit: count for unit, count in found.items() if count} == {
        unit: count for unit, count in counts.items() if count
    }
    assert sum(found.values()) == tokens.input_tokens + tokens.output_tokens


@pytest.fixture(scope="module")
def account() -> Api:
    return new_api()


@settings(max_examples=50, deadline=None)
@given(drawn=used(), priced=st.sampled_from(PRICED), more=st.data())
def test_cost_is_monotone_in_every_unit(account, drawn, priced, more):
    name, counts = drawn
    shape, units = SHAPES[name]
    unit = more.draw(st.sampled_from(units))
    more_of_it = counts | {unit: counts[unit] + more.draw(st.integers(1, 300_000))}
    less, greater = (cost(account, priced, shape(each)) for each in (counts, more_of_it))
    if less is not None and greater is not None:
        assert less <= greater


def cost(api: Api, model: tuple[str, str], usage: dict[str, Any]) -> float | None:
    sent = {"provider": model[0], "model": model[1], "usage": usage}
    response = api.post("/v1/prices/quote", sent | {"timestamp": "2026-11-01T00:00:00Z"})
    assert response.status_code == 200, response.content
    found: float | None = response.json()["cost_usd"]
    return found


CHAT = {"prompt_tokens": 100, "completion_tokens": 50}
IMPOSSIBLE = {
    "more cached than prompt": {**CHAT, "prompt_tokens_details": {"cached_tokens": 101}},
    "more reasoning than completion": {
        **CHAT,
        "completion_tokens_details": {"reasoning_tokens": 51},
    },
    "more cached audio than audio": {
        **CHAT,
        "prompt_tokens_details": {
            "cached_tokens": 50,
            "audio_tokens": 10,
            "cached_tokens_details": {"audio_tokens": 11},
        },
    },
    "more written for an hour than written": {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_1h_input_tokens": 6},
    },
    "more cached than prompt (Gemini)": {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 11,
        "candidatesTokenCount": 1,
    },
}


@pytest.mark.parametrize("usage", IMPOSSIBLE.values(), ids=list(IMPOSSIBLE))
def test_parts_above_the_whole_are_refused_not_clamped(api, usage):
    body = problem(api.post("/v1/events", by_usage(usage)), 422)
    assert {(e["pointer"], e["code"]) for e in body["errors"]} == {("/usage", "exceeds_whole")}


def by_usage(usage: Any, **fields: Any) -> dict[str, Any]:
    return event(input_tokens=None, output_tokens=None, usage=usage, **fields)


BAD = {
    "/usage": [
        {},
        {"tokens": 5},
        {"output_tokens": 5},
        {**CHAT, "promptTokenCount": 1},
        {"input_tokens": 1, "input_tokens_details": {}, "cache_read_input_tokens": 1},
        [CHAT],
    ],
    "/usage/prompt_tokens": [{**CHAT, "prompt_tokens": value} for value in (-1, 1.5, "1", True)],
    "/usage/prompt_tokens_details": [{**CHAT, "prompt_tokens_details": 5}],
    "/usage/prompt_tokens_details/cached_tokens": [
        {**CHAT, "prompt_tokens_details": {"cached_tokens": "5"}}
    ],
    "/usage/promptTokensDetails": [{"promptTokenCount": 1, "promptTokensDetails": {"a": 1}}],
    "/usage/promptTokensDetails/0/tokenCount": [
        {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": -1}]}
    ],
}


@pytest.mark.parametrize("pointer", BAD)
def test_fault_of_a_usage_object_is_named(api, pointer):
    for usage in BAD[pointer]:
        body = problem(api.post("/v1/events", by_usage(usage)), 422)
        assert {error["pointer"] for error in body["errors"]} == {pointer}, usage


def test_usage_comes_instead_of_token_fields(api):
    sent = by_usage(CHAT, cache_write_1h_tokens=1, usage_convention="exclusive", total_tokens=150)
    body = problem(api.post("/v1/events", {**sent, "input_tokens": 100}), 422)
    assert [(error["pointer"], error["code"]) for error in body["errors"]] == [
        (f"/{name}", "beside_usage")
        for name in ("input_tokens", "cache_write_1h_tokens", "total_tokens", "usage_convention")
    ]


def test_same_tokens_in_other_words_are_the_same_event(api):
    fields = {"input_tokens": 100, "output_tokens": 50, "cache_read_tokens": 40}
    inclusive = event(id="one", **fields)
    exclusive = {**inclusive, "input_tokens": 60, "usage_convention": "exclusive"}
    usage = by_usage({**CHAT, "prompt_tokens_details": {"cached_tokens": 40}}, id="one")
    assert api.post("/v1/events", inclusive).status_code == 201
    for again in (exclusive, usage, {**inclusive, "service_tier": "standard"}):
        assert api.post("/v1/events", again).json() == {"id": "one", "status": "duplicate"}
    for other in ({"service_tier": "batch"}, {"cache_write_tokens": 1, "cache_read_tokens": 39}):
        assert api.post("/v1/events", inclusive | other).status_code == 409


def test_what_else_a_usage_object_holds_is_not_stored(api):
    sent = by_usage({**CHAT, "prompt": "secret", "details": {"deep": ["secret"]}}, id="one")
    assert api.post("/v1/events", sent).status_code == 201
    assert "secret" not in str(api.read("/v1/events/one"))
