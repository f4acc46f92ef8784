from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate
from django.utils import timezone


class EventsConfig(AppConfig):
    name = "events"

    def ready(self) -> None:
        """Let every migrated database have the prices of the catalogue that is installed."""
        post_migrate.connect(_sync_prices, sender=self)


def _sync_prices(plan: Any, **_: Any) -> None:
    """After `migrate`, thus on a fresh database and after every upgrade."""
    from events.price_models import PriceBook
    from events.pricing import sync

    if PriceBook._meta.db_table in connection.introspection.table_names():
        sync.sync_if_new(timezone.now())
