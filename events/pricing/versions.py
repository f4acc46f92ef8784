"""Changing prices: a version is closed and the next one opened, never edited.

Whoever changes prices holds the row of the price book meanwhile, so that two changes follow one
another, and leaves it with another version, so that every process looks prices up anew.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet

from events.price_models import Price, PriceBook

KEY = (
    *("account_id", "provider", "model", "unit", "service_tier"),
    *("context_over", "daily_from", "daily_to"),
)
"""What tells prices apart; what they differ in beyond it, versions differ in."""


@contextmanager
def changing() -> Iterator[PriceBook]:
    """Change prices, alone."""
    with transaction.atomic():
        book = PriceBook.objects.select_for_update().get()
        yield book
        book.version += 1
        book.save()


def add(prices: Sequence[Price], now: datetime) -> list[Price]:
    """Open these versions, all or none; returns what is valid then.

    One that does not say since when is valid from the beginning if it is the first of its price,
    and from now on if it is not.
    """
    with changing():
        return [open_version(_dated(price, now)) for price in prices]


def _dated(price: Price, now: datetime) -> Price:
    price.is_dated = price.valid_from is not None
    if not price.is_dated and versions_of(price).exists():
        price.valid_from = now
    return price


def open_version(new: Price) -> Price:
    """Let `new` be valid from its `valid_from` until the next version is; the present one ends.

    One with the same price as before changes nothing, and the present one is returned. Call it
    while `changing`.
    """
    siblings = versions_of(new)
    present = siblings.filter(_valid_at(new.valid_from)).first()
    if present and present.usd_per_unit == new.usd_per_unit:
        return present
    if present:
        assert new.valid_from is not None, "two versions from the beginning"
        new.valid_to = present.valid_to
        close(present, new.valid_from)
    else:
        new.valid_to = _next_start(siblings, new.valid_from)
    new.save(force_insert=True)
    return new


def close(price: Price, at: datetime) -> None:
    """End a version before `at`. One that begins then was never valid."""
    Price.objects.filter(pk=price.pk).update(valid_to=at)


def versions_of(price: Price) -> QuerySet[Price]:
    """The versions of the same price, in order; those that were never valid are none."""
    same = Price.objects.filter(**{name: getattr(price, name) for name in KEY})
    real = same.exclude(valid_from=F("valid_to"))
    return real.order_by(F("valid_from").asc(nulls_first=True))


def _valid_at(moment: datetime | None) -> Q:
    if moment is None:
        return Q(valid_from=None)
    began = Q(valid_from=None) | Q(valid_from__lte=moment)
    return began & (Q(valid_to=None) | Q(valid_to__gt=moment))


def _next_start(siblings: QuerySet[Price], moment: datetime | None) -> datetime | None:
    later = siblings if moment is None else siblings.filter(valid_from__gt=moment)
    return later.values_list("valid_from", flat=True).first()
