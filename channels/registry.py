"""Every channel there is, one line each."""

from channels.contract import Channel
from channels.email import EmailChannel
from channels.sms import SmsChannel

CHANNELS: tuple[Channel, ...] = (
    EmailChannel(),
    SmsChannel(),
)


class UnknownChannelError(LookupError):
    """Say that no channel serves this node type."""

    def __init__(self, node_type: str) -> None:
        super().__init__(f"no channel serves nodes of type {node_type!r}")
        self.node_type = node_type


def channel_for(node_type: str) -> Channel:
    """Return the channel that serves nodes of this type.

    Raises UnknownChannelError when there is none.
    """
    for channel in CHANNELS:
        if channel.node_type == node_type:
            return channel
    raise UnknownChannelError(node_type)


def node_types() -> tuple[str, ...]:
    """Return the node types that send."""
    return tuple(channel.node_type for channel in CHANNELS)
