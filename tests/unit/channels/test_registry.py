"""The list of channels, and what each promises the definition of a workflow."""

import pytest

from channels.contract import Channel, TemplateField
from channels.registry import CHANNELS, UnknownChannelError, channel_for


def test_every_channel_keeps_the_contract() -> None:
    assert all(isinstance(channel, Channel) for channel in CHANNELS)
    assert [channel.node_type for channel in CHANNELS] == ["email", "sms"]


def test_channel_is_found_by_node_type() -> None:
    assert channel_for("sms").node_type == "sms"


def test_unknown_node_type_is_named() -> None:
    with pytest.raises(UnknownChannelError) as unknown:
        channel_for("pigeon")

    assert unknown.value.node_type == "pigeon"


def test_email_nodes_carry_these_templates() -> None:
    channel = channel_for("email")

    assert channel.fields == (
        TemplateField("to", is_required=False, default="{{ recipient.email }}"),
        TemplateField("subject"),
        TemplateField("body", is_required=False),
        TemplateField("html_body", is_required=False, is_html=True),
    )
    assert channel.required_any == (frozenset({"body", "html_body"}),)


def test_sms_nodes_carry_these_templates() -> None:
    channel = channel_for("sms")

    assert channel.fields == (
        TemplateField("to", is_required=False, default="{{ recipient.phone }}"),
        TemplateField("body"),
    )
    assert channel.required_any == ()
