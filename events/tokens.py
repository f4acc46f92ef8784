"""The tokens of an event: how many of which kind, as disjoint units.

Our convention is OpenTelemetry's: input includes cache reads and writes, output includes
reasoning. Anything else is brought into it; what cannot be is refused, never clamped.
"""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from events.price_models import Unit

MEDIA = ("audio", "image", "video")
INPUT_MEDIA = [f"input_{kind}" for kind in MEDIA]
CACHE_READ_MEDIA = [f"cache_read_{kind}" for kind in MEDIA]
OUTPUT_MEDIA = [f"output_{kind}" for kind in MEDIA]


class Tokens(msgspec.Struct):
    """The counts of an event. `media_tokens` has those of units other than text and reasoning.

    A Struct, as one is made for every event: in a third of a dataclass's time.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    media_tokens: dict[str, int] = {}


class Counted(Protocol):
    """What has the counts of an event."""

    @property
    def input_tokens(self) -> int: ...

    @property
    def output_tokens(self) -> int: ...

    @property
    def cache_read_tokens(self) -> int: ...

    @property
    def cache_write_tokens(self) -> int: ...

    @property
    def cache_write_1h_tokens(self) -> int: ...

    @property
    def reasoning_tokens(self) -> int: ...

    @property
    def media_tokens(self) -> dict[str, int]: ...


class Priceable(Counted, Protocol):
    """What of an event its cost follows from."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def timestamp(self) -> datetime: ...

    @property
    def service_tier(self) -> int: ...

    @property
    def reported_cost(self) -> Decimal | None: ...


def parts(event: Counted) -> dict[Unit, int]:
    """The tokens of an event as disjoint units, which add up to its input and output."""
    writes_1h = event.cache_write_1h_tokens
    written = event.cache_write_tokens
    counts = {
        Unit.INPUT: event.input_tokens - event.cache_read_tokens - written,
        Unit.CACHE_READ: event.cache_read_tokens,
        Unit.CACHE_WRITE: written - writes_1h,
        Unit.CACHE_WRITE_1H: writes_1h,
        Unit.OUTPUT: event.output_tokens - event.reasoning_tokens,
        Unit.REASONING: event.reasoning_tokens,
    }
    for name, count in event.media_tokens.items():
        unit = Unit(name)
        counts[unit] = count
        counts[TEXT_OF[unit]] -= count
    return counts


TEXT_OF = {
    Unit(name): whole
    for whole, names in (
        (Unit.INPUT, INPUT_MEDIA),
        (Unit.CACHE_READ, CACHE_READ_MEDIA),
        (Unit.OUTPUT, OUTPUT_MEDIA),
    )
    for name in names
}
"""For each unit of media, the unit that has what is left of the whole."""


def impossible(tokens: Tokens) -> list[Unit]:
    """The units of which less than nothing would be left: parts are above their whole."""
    return [unit for unit, count in parts(tokens).items() if count < 0]
