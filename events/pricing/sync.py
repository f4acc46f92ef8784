"""The catalogue into the table: what is new there, and what changed.

The past is left as it is: a version that has ended stays. A change without a date is valid from
now on; one with a date from then on, and ends the version that is valid until further notice.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F

from events.price_models import Price, PriceBook, Source
from events.pricing import catalogue
from events.pricing.catalogue import BEGINNING, Key, Segment
from events.pricing.versions import changing, close, open_version, versions_of


@dataclass
class Report:
    """What a sync did: prices that are new, changed, ended, and left to whoever set them here."""

    new: list[Key] = field(default_factory=list)
    changed: list[Key] = field(default_factory=list)
    ended: list[Key] = field(default_factory=list)
    own: list[Key] = field(default_factory=list)


def sync_if_new(now: datetime) -> Report | None:
    """Sync, unless this catalogue was the last one that was."""
    book = PriceBook.objects.get()
    return None if book.catalogue == catalogue.VERSION else sync(now)


def sync(now: datetime) -> Report:
    """Bring everybody's prices up to what the catalogue lists, in one transaction.

    A second time it changes nothing. A model that is no longer listed keeps its prices.
    """
    listed = catalogue.listed()
    with changing() as book:
        kept = _kept()
        report = Report(new=sorted(listed.keys() - kept.keys()))
        known = {_tariff(key) for key in kept}
        Price.objects.bulk_create(
            version
            for key in report.new
            for version in _versions(key, listed[key], now if _tariff(key) in known else None)
        )
        models = {key[:2] for key in listed}
        for key in sorted(key for key in kept if key[:2] in models):
            _Timeline(key, listed.get(key, []), kept[key]).update(now, report)
        book.catalogue = catalogue.VERSION
    return report


def _kept() -> dict[Key, list[Price]]:
    """Everybody's versions that were or will be valid, in order."""
    kept: dict[Key, list[Price]] = defaultdict(list)
    versions = Price.objects.filter(account=None).exclude(valid_from=F("valid_to"))
    for price in versions.order_by(F("valid_from").asc(nulls_first=True)):
        kept[Key(*(getattr(price, name) for name in Key._fields))].append(price)
    return kept


def _tariff(key: Key) -> tuple[object, ...]:
    """What calls are priced by together: a price that joins it would change what they cost."""
    return (key.provider, key.model, key.service_tier)


def _versions(key: Key, segments: list[Segment], since: datetime | None) -> Iterator[Price]:
    """New versions, each until the next; one without a date from `since` (None: the beginning)."""
    ends = [segment.start for segment in segments[1:]]
    for segment, end in zip(segments, [*ends, None], strict=True):
        is_over = segment.start is None and since and end and end <= since
        if segment.usd is not None and not is_over:
            yield _version(key, segment, segment.start or since, end)


def _version(key: Key, segment: Segment, start: datetime | None, end: datetime | None) -> Price:
    assert segment.usd is not None
    return Price(
        **key._asdict(),
        usd_per_unit=segment.usd,
        valid_from=start,
        valid_to=end,
        is_dated=segment.start is not None,
        source=Source.CATALOGUE,
        source_version=catalogue.VERSION,
    )


@dataclass
class _Timeline:
    """One price: what is listed of it, and the versions that are kept."""

    key: Key
    segments: list[Segment]
    versions: list[Price]

    def update(self, now: datetime, report: Report) -> None:
        """Bring the versions up to date: at each date that is listed, and as of now."""
        dates = [segment.start for segment in self.segments if segment.start]
        for moment in sorted({*dates, now}):
            listed, present = self._listed(moment), self._present(moment)
            if listed.usd == (present and present.usd_per_unit):
                continue
            is_over = present.valid_to and present.valid_to <= now if present else moment < now
            if is_over:
                continue
            if present and present.source != Source.CATALOGUE:
                report.own.append(self.key)
                return
            self._change(listed, present, moment, report)

    def _listed(self, moment: datetime) -> Segment:
        began = [one for one in self.segments if (one.start or BEGINNING) <= moment]
        return began[-1] if began else Segment(None, None)

    def _present(self, moment: datetime) -> Price | None:
        valid = (
            one
            for one in self.versions
            if (one.valid_from or BEGINNING) <= moment
            and (one.valid_to is None or moment < one.valid_to)
        )
        return next(valid, None)

    def _change(
        self, listed: Segment, present: Price | None, moment: datetime, report: Report
    ) -> None:
        if listed.usd is None:
            assert present is not None
            close(present, moment)
            present.valid_to = moment
            report.ended.append(self.key)
        else:
            dated = Segment(listed.start if listed.start == moment else None, listed.usd)
            new = open_version(_version(self.key, dated, moment, None))
            self.versions = list(versions_of(new))
            report.changed.append(self.key)
