"""Money: exact Decimals in, plain notation out."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import msgspec

PLACES = 10
QUANTUM = Decimal(1).scaleb(-PLACES)
CENT = Decimal("0.01")
LIMIT = Decimal(10) ** 9
"""A single cost is below this; sums are not bounded by it."""


class OneDecimal(Decimal):
    """A number that is no money: a share, an average. It is written with one decimal."""


def one_decimal(exact: Decimal) -> OneDecimal:
    """Half up (away from 0), however large."""
    with localcontext(prec=60):
        return OneDecimal(exact.quantize(Decimal("0.1"), ROUND_HALF_UP) + 0)  # + 0: never -0.0


def percent(part: Decimal | int, whole: Decimal | int) -> OneDecimal | None:
    """`part` in percent of `whole`, one decimal, half up (away from 0); None of 0."""
    return one_decimal(Decimal(part) * 100 / Decimal(whole)) if whole else None


def plain(amount: Decimal, places: int = 2) -> str:
    """`amount` in plain notation, money with at least so many places: 450.00, 0.0234, 0.30."""
    text = f"{amount:f}"
    if isinstance(amount, OneDecimal):
        return text
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(places, '0')}"


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum, however large: Python's own context would round it to 28 digits."""
    with localcontext(prec=60):
        return sum(amounts, Decimal(0))


def round_reported(amount: Decimal) -> Decimal:
    """Half-even to 10 places: what a client's JSON number, a float to it, is cut to."""
    return amount.quantize(QUANTUM, ROUND_HALF_EVEN)


def round_computed(amount: Decimal) -> Decimal:
    """Half-up to 10 places: a computed cost, rounded once after summing its parts."""
    return amount.quantize(QUANTUM, ROUND_HALF_UP)


_LEFT_ALONE = {str, int, bool, type(None)}


def json_number(data: Any) -> Any:
    """`data` with every Decimal as a JSON number in plain notation, and UTC times ending in Z."""
    if isinstance(data, Decimal):
        return msgspec.Raw(plain(data).encode())
    if isinstance(data, dict):
        # Most values are left as they are; asking that here and not of a call each saves 3 ms on an
        # answer of a thousand rows.
        return {
            key: value if type(value) in _LEFT_ALONE else json_number(value)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [json_number(value) for value in data]
    return data
