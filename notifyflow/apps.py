from django.apps import AppConfig
from django.core import checks


class NotifyFlowConfig(AppConfig):
    name = "notifyflow"

    def ready(self) -> None:
        """Register the system checks of the installation as a whole."""
        from notifyflow.checks import check_origins, check_shared_cache, check_token_keys

        checks.register(check_shared_cache, checks.Tags.caches)
        checks.register(check_origins, checks.Tags.security)
        checks.register(check_token_keys, checks.Tags.security)
