from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The outermost house: settings, addresses, errors and the `serve` command."""

    name = "config"
