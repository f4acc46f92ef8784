"""The database engine "config.embedded": Django's PostgreSQL, on a server of our own."""

from functools import cache
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base, client

from config.embedded import postgres
from config.embedded.home import PORT, SUPERUSER
from config.embedded.server import Server


@cache
def server() -> Server:
    """The server of this installation's data folder."""
    return Server(settings.DATA_DIR)


class DatabaseClient(client.DatabaseClient):
    """`manage.py dbshell`, with the psql of the wheel."""

    def runshell(self, parameters: Any) -> None:
        """Run psql on the server, started if need be."""
        server().ensure()
        type(self).executable_name = postgres.program("psql")
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that starts its server first. What opens none, starts none."""

    client_class = DatabaseClient

    def __init__(self, settings_dict: dict[str, Any], *args: Any, **options: Any) -> None:
        settings_dict |= {"HOST": str(server().home.sockets), "PORT": PORT, "USER": SUPERUSER}
        super().__init__(settings_dict, *args, **options)

    def get_new_connection(self, conn_params: Any) -> Any:
        """Connect. Raises OperationalError if the server does not start."""
        server().ensure()
        return super().get_new_connection(conn_params)
