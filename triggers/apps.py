from uuid import UUID

from django.apps import AppConfig


class TriggersConfig(AppConfig):
    name = "triggers"

    def ready(self) -> None:
        """Have a workflow's deletion ask for its triggers under way."""
        from triggers.models import Trigger
        from workflows.services import MOST_COUNTED, count_before_deletion

        def count(workflow_id: UUID) -> int:
            return Trigger.objects.under_way().filter(workflow_id=workflow_id)[: MOST_COUNTED + 1].count()

        count_before_deletion(count)
