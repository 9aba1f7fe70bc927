from django.apps import AppConfig


class ExecutionConfig(AppConfig):
    name = "execution"

    def ready(self) -> None:
        """Tell `workflows` which message types there are, and check that the time limits fit each other."""
        from channels.registry import CHANNELS
        from execution import checks  # noqa: F401  # registers the system checks
        from workflows.node_types import MessageType, register

        for channel in CHANNELS:
            register(MessageType(channel.node_type, channel.fields, channel.required_any))
