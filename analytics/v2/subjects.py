"""Whose numbers a question is about, and the question as it was asked."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from analytics.periods import Period
from analytics.query import Filters, Query
from analytics.v2.params import asked_period
from apikeys.params import Checked


@dataclass(frozen=True)
class Subject:
    """The entities of some types, or everything: then it has no types."""

    noun: str
    plural: str
    entity_types: tuple[str, ...] = ()

    @property
    def id_key(self) -> str:
        """The parameter that names some of the entities."""
        return f"{self.noun}_id"

    @property
    def name_key(self) -> str:
        """The key of an entity's name in a row."""
        return f"{self.noun}_name"


AGENTS = Subject("agent", "agents", ("agent",))
PROJECTS = Subject("project", "projects", ("project",))
TEAMS = Subject("team", "teams", ("team",))
USERS = Subject("user", "users", ("user", "employee"))
ENTITIES = (AGENTS, PROJECTS, TEAMS, USERS)
OVERALL = Subject("entity", "entities")
CORPORA = Subject("corpus", "corpora")
"""What documents are kept in; no calls are attributed to one."""


@dataclass(frozen=True)
class Asked:
    """One question: who asks, about whom, with which parameters, when."""

    account_id: int
    subject: Subject
    params: Checked
    now: datetime

    @property
    def interval(self) -> str | None:
        """The time dimension of a series; None where no series is asked for."""
        return self.params["bucket_type"] if self.params.get("time_series") else None

    @cached_property
    def period(self) -> Period:
        return asked_period(self.params, self.now)

    @cached_property
    def filters(self) -> Filters:
        """The entities that are meant."""
        types = self.subject.entity_types or None
        return Filters(entity_type=types, entity_id=self.params.get(self.subject.id_key))

    @cached_property
    def query(self) -> Query:
        """The totals of what is asked about, to be grouped."""
        return Query(account_id=self.account_id, period=self.period, filters=self.filters)
