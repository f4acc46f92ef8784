"""The settings of a later version, which has a migration more."""

from config import settings
from config.settings import *  # noqa: F403

INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.reliability.upgrade"]
