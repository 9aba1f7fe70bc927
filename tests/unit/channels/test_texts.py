"""Text that may leave, and quotations of what providers say."""

import pytest

from channels.contract import PermanentSendError
from channels.texts import may_break_line, quote, require_sendable


def test_ordinary_text_of_any_script_may_leave() -> None:
    require_sendable({"body": "Grüße\n\t\U0001f600 \u5b57"}, provider="smtp")


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "a\udfff"])
def test_what_no_provider_can_carry_is_refused(text: str) -> None:
    with pytest.raises(PermanentSendError) as refused:
        require_sendable({"subject": "fine", "body": text}, provider="smtp")

    assert (refused.value.code, refused.value.provider) == ("invalid_text", "smtp")
    assert "body" in refused.value.message


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x85b", "a\u2028b", "a\u2029b"])
def test_every_line_end_is_seen(text: str) -> None:
    assert may_break_line(text)


def test_a_tab_ends_no_line() -> None:
    assert not may_break_line("a\tb \U0001f600 ß")


def test_quotation_is_one_short_line_without_secrets() -> None:
    assert quote("no\r\n  entry") == "no entry"
    assert quote("key s3cret is bad", secrets=["s3cret"]) == "key *** is bad"
    assert quote("x" * 400) == "x" * 299 + "\u2026"


def test_secret_on_the_edge_of_the_limit_is_blanked_out_whole() -> None:
    assert "s3c" not in quote("x" * 297 + "s3cret", secrets=["s3cret"])
