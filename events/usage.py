"""Providers' own usage objects, brought into our convention.

A shape is recognised by its keys, not by the provider: gateways hand on what they get. Keys that
say nothing of tokens are ignored.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from events.price_models import ServiceTier
from events.rules import FieldError
from events.tokens import MEDIA, Tokens, impossible

if TYPE_CHECKING:
    from events.schema import EventIn

MOST_TOKENS = 10**12
NOT_SENT: Any = UNSET
TOKEN_FIELDS = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "reasoning_tokens", "total_tokens", "usage_convention"),
)
EXCLUSIVE_KEYS = {
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
}


class Reader:
    """The counts of a usage object, by path; faults are collected."""

    def __init__(self, usage: dict[str, Any], errors: list[FieldError]) -> None:
        self.usage = usage
        self.errors = errors

    def __call__(self, *path: str) -> int:
        """The count at `path`; 0 where the provider does not say."""
        value: Any = self.usage
        for depth, key in enumerate(path):
            if not isinstance(value, dict | None):
                return self._fault(path[:depth], "must be an object")
            value = (value or {}).get(key)
        return self._count(value, path)

    def either(self, *names: str) -> int:
        """The count under the first of the names that is there."""
        return self(next((name for name in names if self.usage.get(name) is not None), names[0]))

    def items(self, name: str, key: str, count: str) -> dict[str, int]:
        """The counts in a list of objects, by what each has under `key`."""
        items = self.usage.get(name) or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            self._fault((name,), "must be a list of objects")
            return {}
        found: dict[str, int] = {}
        for index, item in enumerate(items):
            kind = str(item.get(key)).lower()
            amount = self._count(item.get(count), (name, str(index), count))
            found[kind] = found.get(kind, 0) + amount
        return found

    def _count(self, value: Any, path: tuple[str, ...]) -> int:
        if value is None:
            return 0
        if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
            value = int(value) if value <= MOST_TOKENS else value
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
            return self._fault(path, f"must be a whole number from 0 to {MOST_TOKENS}")
        return value

    def _fault(self, path: tuple[str, ...], what: str) -> int:
        name = ".".join(("usage", *path))
        self.errors.append(
            FieldError.at("usage", *path, code="invalid", detail=f"`{name}` {what}.")
        )
        return 0


def _openai_chat(read: Reader) -> Tokens:
    return _openai(read, "prompt", "completion")


def _openai_responses(read: Reader) -> Tokens:
    return _openai(read, "input", "output")


def _openai(read: Reader, input: str, output: str) -> Tokens:
    """Inclusive. https://platform.openai.com/docs/api-reference/responses/object"""
    of_input, of_output = f"{input}_tokens_details", f"{output}_tokens_details"
    media = {}
    for kind in MEDIA:
        cached = read(of_input, "cached_tokens_details", f"{kind}_tokens")
        media[f"cache_read_{kind}"] = cached
        media[f"input_{kind}"] = read(of_input, f"{kind}_tokens") - cached
        media[f"output_{kind}"] = read(of_output, f"{kind}_tokens")
    return Tokens(
        input_tokens=read(f"{input}_tokens"),
        output_tokens=read(f"{output}_tokens"),
        cache_read_tokens=read(of_input, "cached_tokens"),
        cache_write_tokens=read(of_input, "cache_write_tokens"),
        reasoning_tokens=read(of_output, "reasoning_tokens"),
        media_tokens=media,
    )


def _anthropic(read: Reader) -> Tokens:
    """Exclusive. https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching"""
    by_5m = read("cache_creation", "ephemeral_5m_input_tokens")
    by_1h = read("cache_creation", "ephemeral_1h_input_tokens")
    written = read("cache_creation_input_tokens") or by_5m + by_1h
    cached = read("cache_read_input_tokens")
    return Tokens(
        input_tokens=read("input_tokens") + cached + written,
        output_tokens=read("output_tokens"),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=by_1h,
        reasoning_tokens=read("output_tokens_details", "thinking_tokens"),
    )


def _bedrock(read: Reader) -> Tokens:
    """Exclusive. https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html"""
    cached, written = read("cacheReadInputTokens"), read("cacheWriteInputTokens")
    return Tokens(
        input_tokens=read("inputTokens") + cached + written,
        output_tokens=read("outputTokens"),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=read.items("cacheDetails", "ttl", "inputTokens").get("1h", 0),
    )


def _gemini(read: Reader) -> Tokens:
    """Cached inside the prompt, thoughts beside the answer, tools' results beside the prompt.

    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    thoughts, tools = read("thoughtsTokenCount"), read("toolUsePromptTokenCount")
    prompt = read.items("promptTokensDetails", "modality", "tokenCount")
    cached = read.items("cacheTokensDetails", "modality", "tokenCount")
    used = read.items("toolUsePromptTokensDetails", "modality", "tokenCount")
    answer = read.items("candidatesTokensDetails", "modality", "tokenCount")
    media = {}
    for kind in MEDIA:
        also = ("document",) if kind == "image" else ()  # a page is billed as an image
        of = [sum(found.get(name, 0) for name in (kind, *also)) for found in (prompt, used, cached)]
        media[f"cache_read_{kind}"] = of[2]
        media[f"input_{kind}"] = of[0] + of[1] - of[2]
        media[f"output_{kind}"] = answer.get(kind, 0)
    return Tokens(
        input_tokens=read("promptTokenCount") + tools,
        output_tokens=read("candidatesTokenCount") + thoughts,
        cache_read_tokens=read("cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        media_tokens=media,
    )


def shape_of(usage: dict[str, Any]) -> Callable[[Reader], Tokens] | None:
    """How to read a usage object; None if its keys are no provider's, or several ones'."""
    keys = usage.keys()
    found = [
        shape
        for shape, is_it in {
            _openai_chat: "prompt_tokens" in keys,
            _openai_responses: "input_tokens" in keys and not keys & EXCLUSIVE_KEYS,
            _anthropic: "input_tokens" in keys
            and keys & EXCLUSIVE_KEYS
            and "input_tokens_details" not in keys,
            _bedrock: "inputTokens" in keys,
            _gemini: "promptTokenCount" in keys,
        }.items()
        if is_it
    ]
    return found[0] if len(found) == 1 else None


def read_usage(usage: dict[str, Any], errors: list[FieldError]) -> Tokens | None:
    """The tokens of a provider's usage object; None, and the faults, if it has none."""
    shape = shape_of(usage)
    if shape is None:
        detail = (
            "`usage` is none of the shapes of OpenAI (chat, responses), Anthropic (messages),"
            " Gemini and Bedrock (Converse), or of several at once."
        )
        errors.append(FieldError.at("usage", code="unknown_shape", detail=detail))
        return None
    faults: list[FieldError] = []
    tokens = shape(Reader(usage, faults))
    errors += faults
    if faults:
        return None
    tokens.media_tokens = {name: count for name, count in tokens.media_tokens.items() if count}
    for unit in impossible(tokens):
        detail = f"In `usage` the parts are above their whole: {unit} tokens would be below 0."
        errors.append(FieldError.at("usage", code="exceeds_whole", detail=detail))
    return tokens


def tier_in(usage: dict[str, Any]) -> int:
    """The service tier, where a provider says it in the usage itself (Anthropic does)."""
    said = usage.get("service_tier")
    tiers = (tier.value for tier in ServiceTier if tier.label == said)
    return next(tiers, ServiceTier.STANDARD.value)


def tokens_of(sent: "EventIn", errors: list[FieldError]) -> Tokens | None:
    """The tokens of an event, of its fields or its `usage`; None, and the faults, if none."""
    if sent.usage is not None:
        errors += [
            FieldError.at(name, code="beside_usage", detail=f"Send `usage` or `{name}`, not both.")
            for name in TOKEN_FIELDS
            if getattr(sent, name) not in (None, NOT_SENT)
        ]
        return read_usage(sent.usage, errors)
    if sent.input_tokens is NOT_SENT or sent.output_tokens is NOT_SENT:
        errors += [
            FieldError.at(name, code="required", detail=f"`{name}` is required.")
            for name in ("input_tokens", "output_tokens")
            if getattr(sent, name) is NOT_SENT
        ]
        return None
    cached, written = sent.cache_read_tokens or 0, sent.cache_write_tokens or 0
    beside = cached + written if sent.usage_convention == "exclusive" else 0
    tokens = Tokens(
        sent.input_tokens + beside,
        sent.output_tokens,
        cached,
        written,
        sent.cache_write_1h_tokens or 0,
        sent.reasoning_tokens or 0,
    )
    _check_fields(tokens, sent.total_tokens, errors)
    if beside and tokens.input_tokens > MOST_TOKENS:
        detail = f"`input_tokens` with the cached ones are more than {MOST_TOKENS}."
        errors.append(FieldError.at("input_tokens", code="invalid", detail=detail))
    return tokens


def _check_fields(tokens: Tokens, total: int | None, errors: list[FieldError]) -> None:
    if tokens.cache_read_tokens + tokens.cache_write_tokens > tokens.input_tokens:
        name = "cache_read_tokens" if tokens.cache_read_tokens else "cache_write_tokens"
        detail = "`cache_read_tokens` + `cache_write_tokens` exceed `input_tokens`."
        errors.append(FieldError.at(name, code="exceeds_whole", detail=detail))
    if tokens.cache_write_1h_tokens > tokens.cache_write_tokens:
        detail = "`cache_write_1h_tokens` exceed `cache_write_tokens`."
        errors.append(FieldError.at("cache_write_1h_tokens", code="exceeds_whole", detail=detail))
    if tokens.reasoning_tokens > tokens.output_tokens:
        detail = "`reasoning_tokens` exceed `output_tokens`."
        errors.append(FieldError.at("reasoning_tokens", code="exceeds_whole", detail=detail))
    if total not in (None, tokens.input_tokens + tokens.output_tokens):
        detail = "`total_tokens` must equal `input_tokens` + `output_tokens`."
        errors.append(FieldError.at("total_tokens", code="not_the_sum", detail=detail))
