"""`manage.py demo`: everything to look around, in one command."""

import secrets
from argparse import ArgumentParser
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from apikeys.management.database import migrate
from apikeys.models import Account, APIKey, issue_key
from config.management.commands.serve import listen
from config.pools import disconnect
from events.models import Event

HOST = "127.0.0.1"
ACCOUNT = "Demo"
ADMIN = "admin"
EVENTS = 100_000
DAYS_SHOWN = 30
PER_SECOND = 10_000
"""Events that are loaded in a second, by experience on two cores."""

WELCOME = """
API key    {key}    (of the account {account}; the one of the last run is revoked)
Admin      {url}/admin/    user {admin}, password {password}    (a new one each run)
API docs   {url}/docs

Once the server is ready, try:

  # Costs of the last {days} days by entity
  curl -H 'Authorization: Bearer {key}' '{analytics}/costs?{period}&group_by=entity'

  # Day by day
  curl -H 'Authorization: Bearer {key}' '{analytics}/costs/timeseries?{period}&interval=day'

  # Models, as CSV
  curl -H 'Authorization: Bearer {key}' '{analytics}/models?{period}&format=csv'
"""


class Command(BaseCommand):
    """Sets up the database, fills it once, prints the ways in, and serves."""

    help = (
        f"Set up the database, load demo data once, print an API key, a login for the admin and "
        f"some requests to try, then serve. For looking around only: each run makes a new key and "
        f"sets a new password for the superuser {ADMIN!r}."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--port", type=int, default=8000, help="0 takes any free port")
        parser.add_argument(
            "--events", type=int, default=EVENTS, metavar="N", help="demo events (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop. Raises CommandError if the port is taken."""
        with listen(HOST, options["port"]) as probe:  # now, not after the data was loaded
            port = probe.getsockname()[1]
        now = timezone.now()
        self._say("Setting up the database.")
        migrate(verbosity=0)
        self._load(options["events"])
        self._say(welcome(f"http://{HOST}:{port}", new_key(now), new_password(), now.date()))
        disconnect()  # a pool would not survive the fork of `serve`
        call_command("serve", host=HOST, port=port)

    def _load(self, events: int) -> None:
        # Counted, not just looked for: what an interrupted run left would make a poor demo.
        if Event.objects.filter(account__name=ACCOUNT)[:events].count() < events:
            seconds = max(1, round(events / PER_SECOND))
            self._say(f"Loading {events:,} demo events, once. It takes about {seconds} s.")
            call_command("seed_demo", account=ACCOUNT, events=events)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()  # for who reads along in a pipe


def new_key(now: datetime) -> str:
    """A key named "demo"; earlier ones are revoked."""
    with transaction.atomic():
        account = Account.objects.select_for_update().get(name=ACCOUNT)
        APIKey.objects.filter(account=account, name="demo", revoked_at=None).update(revoked_at=now)
        return issue_key(account, name="demo")[1]


def new_password() -> str:
    """A random password, set for the superuser, who is made if need be."""
    password = secrets.token_urlsafe(9)
    user, _ = User.objects.get_or_create(username=ADMIN)
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    return password


def welcome(url: str, key: str, password: str, today: date) -> str:
    """What a newcomer needs."""
    start = today - timedelta(days=DAYS_SHOWN - 1)
    return WELCOME.format(
        url=url,
        analytics=f"{url}/v1/analytics",
        period=f"start_date={start}&end_date={today}",
        days=DAYS_SHOWN,
        account=ACCOUNT,
        admin=ADMIN,
        key=key,
        password=password,
    )
