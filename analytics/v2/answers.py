"""From measures to the answers of the second surface; money is a string there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from django.db.models import Count

from analytics.activity import first_and_last, last_active
from analytics.answers import Row, series
from analytics.facts import BeyondRetention
from analytics.query import Query
from analytics.sql import Group, Measures, count_entities, groups, totals
from analytics.v2.subjects import ENTITIES, Asked
from events.models import Entity
from events.money import one_decimal, percent, plain, round_computed

MONEY_PLACES = 5
SUMMED = ("events", "unpriced_events", "cost", "input_tokens", "output_tokens")
"""The measures of a summary."""


def money(amount: Decimal) -> str:
    """USD in plain notation with at least 5 places: "0.00150"."""
    return plain(amount, MONEY_PLACES)


def cost(measures: Measures) -> Row:
    return {"total_tokens": measures.tokens, "total_cost": money(measures.cost)}


def tokens(measures: Measures) -> Row:
    return {
        "prompt_tokens": measures.input_tokens,
        "completion_tokens": measures.output_tokens,
        "total_tokens": measures.tokens,
    }


def query_count(measures: Measures) -> Row:
    return {"query_count": measures.events}


def usage(measures: Measures) -> Row:
    return query_count(measures) | cost(measures)


@dataclass(frozen=True)
class Table:
    """What a row tells, from which measures, and by which one the rows are ordered."""

    row: Callable[[Measures], Row]
    measures: tuple[str, ...]
    by: str

    def query(self, asked: Asked) -> Query:
        """The totals of what is asked about."""
        return replace(asked.query, measures=self.measures, by=self.by)


COSTS = Table(cost, ("input_tokens", "output_tokens", "cost"), by="cost")
TOKENS = Table(tokens, ("input_tokens", "output_tokens"), by="tokens")
QUERY_COUNTS = Table(query_count, ("events",), by="events")
MOST_ACTIVE = Table(usage, ("events", *COSTS.measures), by="events")


def by_entity(table: Table) -> Callable[[Asked], list[Row]]:
    """An answer: the entities with most of a measure; in a series, those of each bucket."""

    def answer(asked: Asked) -> list[Row]:
        query = replace(table.query(asked), dimensions=("entity", "entity_name"))
        if asked.interval:
            dimensions = (asked.interval, *query.dimensions)
            query = replace(query, dimensions=dimensions, limit_each=asked.params["limit"])
        else:
            query = replace(query, limit=asked.params["limit"])
        return [
            _date(asked, group)
            | _name(asked, group.names["entity_name"] or group.names["entity_id"])
            | table.row(group.measures)
            for group in groups(query)
        ]

    return answer


def overall(table: Table) -> Callable[[Asked], list[Row]]:
    """An answer: one row of totals; in a series, one of every bucket."""

    def answer(asked: Asked) -> list[Row]:
        if asked.interval is None:
            return [table.row(totals(table.query(asked)))]
        found = series(table.query(asked), asked.interval)
        return [{"date": bucket.day} | table.row(measures) for bucket, measures in found]

    return answer


def nested(answer: Callable[[Asked], list[Row]]) -> Callable[[Asked], list[list[Row]]]:
    """The rows as a list in a list: so does the vendor show the series of overall tokens."""
    return lambda asked: [answer(asked)]


def recent(asked: Asked) -> list[Row]:
    """The entities whose last activity lies in the period, the latest first."""
    found = last_active(asked.account_id, asked.filters, asked.period, asked.params["limit"])
    return [
        _name(asked, active.entity_name or active.entity_id)
        | {"last_activity": active.last_activity}
        for active in found
    ]


def summary(asked: Asked) -> Row:
    """What was used in the period, on average, by how many, when, and how that has changed."""
    query = replace(asked.query, measures=SUMMED)
    total = totals(query)
    first, last = first_and_last(query)
    return {
        **query_count(total),
        **tokens(total),
        "total_cost": money(total.cost),
        "unpriced_events": total.unpriced_events,
        **_averages(total),
        f"active_{asked.subject.plural}": count_entities(query),
        "first_activity": first,
        "last_activity": last,
        "changes": _changes(query, total),
    }


def entity_counts(asked: Asked) -> Row:
    """How many entities of each kind the account has, whenever they were active."""
    known = Entity.objects.filter(account_id=asked.account_id).values_list("entity_type")
    count = dict(known.annotate(Count("pk")))
    return {
        subject.plural: sum(count.get(name, 0) for name in subject.entity_types)
        for subject in ENTITIES
    }


def _date(asked: Asked, group: Group) -> Row:
    """The start of a group's bucket, in a series."""
    return {"date": group.names[asked.interval].day} if asked.interval else {}


def _name(asked: Asked, name: str) -> Row:
    return {asked.subject.name_key: name}


def _averages(total: Measures) -> Row:
    """Per query; the cost per query whose cost is known, half up to 10 places."""
    queries, priced = total.events, total.events - total.unpriced_events
    return {
        "avg_tokens_per_query": one_decimal(Decimal(total.tokens) / queries) if queries else None,
        "avg_cost_per_query": money(round_computed(total.cost / priced)) if priced else None,
    }


def _changes(query: Query, total: Measures) -> Row | None:
    """The period less the one before, and that in percent of it; None where that is not kept."""
    try:
        before = totals(replace(query, period=query.period.before))
    except BeyondRetention:
        return None
    return {
        "queries_change": total.events - before.events,
        "queries_change_percent": percent(total.events - before.events, before.events),
        "tokens_change": total.tokens - before.tokens,
        "tokens_change_percent": percent(total.tokens - before.tokens, before.tokens),
        "cost_change": money(total.cost - before.cost),
        "cost_change_percent": percent(total.cost - before.cost, before.cost),
    }
