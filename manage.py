#!/usr/bin/env python3
"""Django's command line for Costprism: `python manage.py --help` lists the commands."""

import os
import signal
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.utils import OperationalError

from config.pools import disconnect


def main() -> None:
    """Run one management command; a malformed setting or no database ends in a plain message."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, OperationalError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"costprism: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        disconnect()


if __name__ == "__main__":
    main()
