"""From a question to the tables that answer it: a pure function.

The smallest rollup that covers the question answers whole buckets; what is left over at the edges
goes to the next finer grain, and what no rollup can split, to the log. A month of local days in
Kathmandu is read from hours, and the 45 and 15 minutes around each midnight from the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from events.rollups import ROLLUPS, Grain, Rollup

Span = tuple[datetime, datetime]
"""[since, until) in UTC."""

_ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)
"""A Monday, as for the rollups."""


@dataclass(frozen=True)
class Part:
    """Some spans of a period and where they are read: a rollup, or the log (None)."""

    source: Rollup | None
    spans: tuple[Span, ...]


def plan(dimensions: frozenset[str], edges: list[datetime]) -> list[Part]:
    """The parts that together cover edges[0] to edges[-1] once, none across an inner edge.

    `dimensions` are the columns that the question groups or filters by; `edges` are the first
    instants of its buckets and the end of the last one. A question without a time dimension has
    two edges.
    """
    return plan_from(covering(dimensions), edges)


def covering(dimensions: frozenset[str]) -> list[Rollup]:
    """The smallest rollup that covers the dimensions, then the smallest of a finer grain, ..."""
    chain: list[Rollup] = []
    for rollup in ROLLUPS:
        if rollup.covers(dimensions) and (not chain or rollup.grain < chain[-1].grain):
            chain.append(rollup)
    return chain


def plan_from(sources: list[Rollup], edges: list[datetime]) -> list[Part]:
    """`plan` with the rollups given, coarse to fine; with none, all of it from the log."""
    sources, edges = _uncut(sources, edges)
    spans: dict[Rollup | None, list[Span]] = {}
    for since, until in pairwise(edges):
        for source, span in _split(since, until, sources):
            spans.setdefault(source, []).append(span)
    return [Part(source, tuple(merged(found))) for source, found in spans.items()]


def _uncut(sources: list[Rollup], edges: list[datetime]) -> tuple[list[Rollup], list[datetime]]:
    """Without the sources that are too coarse for every bucket, and without inner edges if the
    coarsest source left has each of them: 744 hours are one span then, and planned at once."""
    longest = max(until - since for since, until in pairwise(edges))
    fitting = [source for source in sources if timedelta(minutes=source.grain) <= longest]
    if fitting and all(edge == _floor(edge, fitting[0].grain) for edge in edges[1:-1]):
        edges = [edges[0], edges[-1]]
    return fitting, edges


def merged(spans: list[Span]) -> list[Span]:
    """The same instants in as few spans as possible, in order."""
    whole: list[Span] = []
    for since, until in sorted(spans):
        if whole and whole[-1][1] == since:
            since = whole.pop()[0]
        whole.append((since, until))
    return whole


def _split(
    since: datetime, until: datetime, sources: list[Rollup]
) -> Iterator[tuple[Rollup | None, Span]]:
    if since >= until:
        return
    if not sources:
        yield None, (since, until)
        return
    first, *finer = sources
    start, end = _ceil(since, first.grain), _floor(until, first.grain)
    if start >= end:
        yield from _split(since, until, finer)
        return
    yield from _split(since, start, finer)
    yield first, (start, end)
    yield from _split(end, until, finer)


def _floor(moment: datetime, grain: Grain) -> datetime:
    return moment - (moment - _ORIGIN) % timedelta(minutes=grain)


def _ceil(moment: datetime, grain: Grain) -> datetime:
    return moment + (_ORIGIN - moment) % timedelta(minutes=grain)
