"""Django's entry to this room."""

from django.apps import AppConfig
from django.core import checks


class ChannelsConfig(AppConfig):
    """Register the system checks of the channels."""

    name = "channels"
    label = "channels"

    def ready(self) -> None:
        from channels.checks import check_channels

        checks.register(check_channels)
