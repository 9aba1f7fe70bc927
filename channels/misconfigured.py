"""The session of a channel whose settings make no sense: each message says so, and no worker dies of it."""

from channels.contract import OutgoingMessage, Receipt, TransientSendError


class MisconfiguredSession:
    """Fail every message for a reason that is the operator's to mend, so it is worth another try."""

    def __init__(self, *, provider: str, reason: str) -> None:
        self._provider = provider
        self._reason = reason

    def send(self, message: OutgoingMessage) -> Receipt:
        """Raise TransientSendError (`misconfigured`)."""
        raise TransientSendError(provider=self._provider, code="misconfigured", message=self._reason)

    def close(self) -> None:
        """Do nothing: nothing was opened."""
