"""What made the difference between two values: pure functions, exact to the last decimal.

Everything is counted in fractions and rounded once; what rounding leaves over goes to the largest
part, so that parts always add up to the change.
"""

from collections.abc import Hashable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, TypeVar

from events.money import PLACES

MOST_NAMED = 5
Name = TypeVar("Name", bound=Hashable)


class Use(NamedTuple):
    """What was used of one model: calls, tokens, and their cost in USD."""

    calls: Fraction
    tokens: Fraction
    cost: Fraction


NOT_USED = Use(Fraction(0), Fraction(0), Fraction(0))


def effects(now: Mapping[Name, Use], base: Mapping[Name, Use]) -> dict[str, Fraction]:
    """The change of cost from `base` to `now`, split by cause; USD, adding up to it.

    The chain of a price-volume-mix analysis, model by model, with n calls, w a model's share of
    them, t its tokens per call and p its price per token, so that cost = n Σ w t p:

        volume           (n₁ - n₀) Σ w₀ t₀ p₀    as many calls more, all else as before
        mix              n₁ Σ (w₁ - w₀) t₀ p₀    calls moved to dearer models
        tokens_per_call  n₁ Σ w₁ (t₁ - t₀) p₀    longer calls
        price_per_token  n₁ Σ w₁ t₁ (p₁ - p₀)    dearer tokens

    A model without a past has its present t and p there too: all of it is mix.
    """
    split = dict.fromkeys(("volume", "tokens_per_call", "price_per_token", "mix"), Fraction(0))
    calls, before = (sum((use.calls for use in side.values()), Fraction(0)) for side in (now, base))
    spent = sum((use.cost for use in base.values()), Fraction(0))
    if not calls or not before:
        split["volume"] = sum((use.cost for use in now.values()), Fraction(0)) - spent
        return split
    growth = calls / before
    split["volume"] = (growth - 1) * spent
    for name in now.keys() | base.keys():
        one, two = now.get(name, NOT_USED), base.get(name, NOT_USED)
        as_before = _at_old_cost(one, two)
        longer = _at_old_price(one, two, as_before)
        split["mix"] += as_before - two.cost * growth
        split["tokens_per_call"] += longer - as_before
        split["price_per_token"] += one.cost - longer
    return split


def _at_old_cost(now: Use, base: Use) -> Fraction:
    """Today's calls, each at what a call cost before."""
    return now.calls * base.cost / base.calls if base.calls else now.cost


def _at_old_price(now: Use, base: Use, as_before: Fraction) -> Fraction:
    """Today's tokens, each at what a token cost before; calls without tokens have no such price."""
    if not base.calls:
        return now.cost
    return now.tokens * base.cost / base.tokens if base.tokens and now.tokens else as_before


def differences(
    now: Mapping[Name, Fraction], base: Mapping[Name, Fraction]
) -> dict[Name, Fraction]:
    """By how much each name's part has changed."""
    zero = Fraction(0)
    return {name: now.get(name, zero) - base.get(name, zero) for name in {**now, **base}}


def exact(parts: Mapping[str | None, Fraction], change: Decimal) -> dict[str | None, Decimal]:
    """`parts` as Decimals of as many places as money has, adding up to `change`.

    What is missing goes to None, everything else, if that is one of them, or to the largest.
    """
    rounded = {name: _decimal(part) for name, part in parts.items()}
    missing = change - sum(rounded.values(), Decimal(0))
    if missing:
        largest = max(rounded, key=lambda name: abs(rounded[name]), default=None)
        taker = None if None in rounded else largest
        rounded[taker] = rounded.get(taker, Decimal(0)) + missing
    return rounded


def foremost(parts: Mapping[str | None, Fraction]) -> dict[str | None, Fraction]:
    """The few largest by size, and all others as None, which comes last."""
    named = sorted(
        (name for name in parts if name is not None and parts[name]),
        key=lambda name: (-abs(parts[name]), name),
    )
    kept: dict[str | None, Fraction] = {name: parts[name] for name in named[:MOST_NAMED]}
    if rest := sum(parts.values(), Fraction(0)) - sum(kept.values(), Fraction(0)):
        kept[None] = rest
    return kept


def _decimal(part: Fraction) -> Decimal:
    """Half-even to 10 places, exact also where the number is long."""
    return Decimal(round(part * 10**PLACES)).scaleb(-PLACES)
