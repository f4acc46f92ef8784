"""Every question of the second surface, declared once: the addresses, the reference and the README
read this list."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from analytics.v2 import answers
from analytics.v2.answers import by_entity, nested, overall
from analytics.v2.params import PeriodParams, SeriesParams, TopParams, TopSeriesParams, with_ids
from analytics.v2.subjects import CORPORA, ENTITIES, OVERALL, Asked, Subject
from apikeys.params import Address

DOCUMENTS = "Costprism meters calls: it keeps no documents and cannot count them."
INDEXING = "Costprism meters calls: it indexes no documents and knows no indexing modes."
VOTES = "Costprism meters calls: it stores no answers and no votes on them."


@dataclass(frozen=True, kw_only=True)
class Question:
    """One title of the document. It has an answer, or the reason why it has none."""

    title: str
    subject: Subject
    name: str
    params: type[Address] = Address
    answer: Callable[[Asked], Any] | None = None
    lacks: str = ""

    @property
    def path(self) -> str:
        """Its address below /api/v2/analytics/."""
        return self.name if self.subject is OVERALL else f"{self.subject.plural}/{self.name}"

    @property
    def key(self) -> str:
        """Where its answer is in `data`."""
        return "token_usage" if self.name == "tokens" else self.name.replace("-", "_")

    @property
    def message(self) -> str:
        """What a success says: "Project costs data retrieved successfully"."""
        noun = "Overall" if self.subject is OVERALL else self.subject.noun.title()
        return f"{noun} {self.name.replace('-', ' ')} data retrieved successfully"


def _of_entities(subject: Subject) -> Iterator[Question]:
    """The questions that there are about every kind of entity."""
    noun = subject.noun.title()
    tables = [
        ("Cost", "costs", TopSeriesParams, by_entity(answers.COSTS)),
        ("Most Active", "most-active", TopParams, by_entity(answers.MOST_ACTIVE)),
        ("Query Count", "query-counts", TopSeriesParams, by_entity(answers.QUERY_COUNTS)),
        ("Token", "tokens", TopSeriesParams, by_entity(answers.TOKENS)),
    ]
    for about, name, base, answer in tables:
        params = with_ids(base, subject.noun)
        title = f"Get {noun} {about} Data"
        yield Question(title=title, subject=subject, name=name, params=params, answer=answer)
    yield Question(
        title=f"Get Recent {noun} Data",
        subject=subject,
        name="recent",
        params=with_ids(TopParams, subject.noun),
        answer=answers.recent,
    )
    yield Question(
        title=f"Get {noun} Summary Statistics",
        subject=subject,
        name="summary",
        params=with_ids(PeriodParams, subject.noun),
        answer=answers.summary,
    )
    yield Question(title=f"Get {noun} Vote Data", subject=subject, name="votes", lacks=VOTES)
    yield from _of_documents(subject, f"{noun} ")


def _of_documents(subject: Subject, noun: str) -> Iterator[Question]:
    for about, name, lacks in [
        ("Document Count", "document-counts", DOCUMENTS),
        ("Indexing Mode", "indexing-modes", INDEXING),
    ]:
        yield Question(title=f"Get {noun}{about} Data", subject=subject, name=name, lacks=lacks)


def _of_everything() -> Iterator[Question]:
    tables = [
        ("Cost", "costs", overall(answers.COSTS)),
        ("Query Count", "query-counts", overall(answers.QUERY_COUNTS)),
        ("Token", "tokens", nested(overall(answers.TOKENS))),
    ]
    for about, name, answer in tables:
        title = f"Get {about} Data"
        yield Question(title=title, subject=OVERALL, name=name, params=SeriesParams, answer=answer)
    yield Question(
        title="Get Overall Summary Statistics",
        subject=OVERALL,
        name="summary",
        params=PeriodParams,
        answer=answers.summary,
    )
    yield Question(
        title="Get Total Entity Counts",
        subject=OVERALL,
        name="entity-counts",
        answer=answers.entity_counts,
    )
    yield Question(title="Get Vote Count Data", subject=OVERALL, name="vote-counts", lacks=VOTES)
    yield from _of_documents(OVERALL, "")


QUESTIONS = [
    *(question for subject in ENTITIES for question in _of_entities(subject)),
    *_of_documents(CORPORA, "Corpus "),
    *_of_everything(),
]
