"""Commands as their users run them: processes of their own, or called, with all that they say."""

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

PROJECT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "manage.py"]


def environment(database: str | None = None) -> dict[str, str]:
    """What a process needs to work on the test database, or on another one of the same server."""
    kept = connection.settings_dict
    host = urlencode({"host": kept["HOST"], "port": kept["PORT"] or 5432})
    user = f"{quote(kept['USER'])}:{quote(kept['PASSWORD'])}"
    return os.environ | {
        "DATABASE_URL": f"postgres://{user}@/{database or kept['NAME']}?{host}",
        "SECRET_KEY": settings.SECRET_KEY,  # else keys made there would be unknown here
        "ALLOWED_HOSTS": "*",
    }


def run(*arguments: Any, database: str | None = None) -> "subprocess.CompletedProcess[str]":
    """`manage.py …` to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=PROJECT,
        env=environment(database),
        capture_output=True,
        text=True,
        timeout=60,
    )


def start(*arguments: Any, **options: Any) -> "subprocess.Popen[str]":
    """`manage.py …`, still running."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=PROJECT,
        **{"env": environment(), "text": True, **options},
    )


@dataclass
class Said:
    """What a command wrote, and what it failed with: exit code 1 unless that is None."""

    out: str
    err: str
    failure: str | None


def call(*arguments: Any) -> Said:
    """A command, called in this process."""
    out, err = io.StringIO(), io.StringIO()
    failure = None
    try:
        call_command(*map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        failure = str(error)
    return Said(out.getvalue(), err.getvalue(), failure)
