"""`/v1/entities`: whom calls are attributed to, with what they spent in all."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import django_filters
from django.db.models import QuerySet

from analytics.spend import entity_spend
from events.lists import ListView, ParamFilter
from events.models import Entity
from events.params import NameField

ROWS_PER_LOOKUP = 1000


class EntityFilter(django_filters.FilterSet):
    type = ParamFilter(rule=NameField(), field_name="entity_type")


class EntitiesView(ListView):
    """Entities by type and id."""

    name = "entities"
    columns = [
        "entity_type",
        "entity_id",
        "name",
        "first_seen",
        "last_seen",
        "total_cost",
        "total_events",
    ]
    filterset = EntityFilter

    def queryset(self) -> QuerySet[Entity]:
        entities = Entity.objects.filter(account_id=self.account.pk)
        return entities.order_by("entity_type", "entity_id")

    def rows(self, found: Iterable[Entity]) -> Iterator[dict[str, Any]]:
        entities = iter(found)
        while page := list(islice(entities, ROWS_PER_LOOKUP)):
            spent = entity_spend(self.account.pk, [entity.pk for entity in page])
            for entity in page:
                names = (entity.entity_type, entity.entity_id, entity.name or None)
                yield dict(zip(self.columns, (*names, *spent[entity.pk]), strict=True))
