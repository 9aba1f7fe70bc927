from django.apps import AppConfig
from django.core import checks


class NotifyFlowConfig(AppConfig):
    name = "notifyflow"

    def ready(self) -> None:
        """Register the system checks of the installation as a whole."""
        from notifyflow.checks import check_shared_cache

        checks.register(check_shared_cache, checks.Tags.caches)
