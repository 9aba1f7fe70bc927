"""What may be shown of whom a message was for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.masking import masked, without_destination


@pytest.mark.parametrize(
    ("destination", "shown"),
    [
        ("ann@example.org", "a***@example.org"),
        ("  ann@example.org\n", "a***@example.org"),
        ("Ann Other <ann.other@example.org>", "a***@example.org"),
        ('"Other, Ann" <ann@mail.example.org>', "a***@mail.example.org"),
        ("a@example.org", "***@example.org"),
        ('"ann b"@example.org', "a***@example.org"),
        ("ann@example.org, bea@example.net", "a***@example.net"),
        ("ann@example.org bea", "***"),
        ("ann@localhost", "***"),
        ("@ann", "***"),
        ("ann@", "***"),
        ("ann@" + "x" * 300 + ".org", "***"),
        ("+14155552671", "+1*******71"),
        ("+1 (415) 555-2671", "+1*******71"),
        ("(415) 555-2671", "4*******71"),
        ("+442071838750", "+4*******50"),
        ("12345", "***"),
        ("nobody", "***"),
        ("https://hooks.example.org/secret", "***"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_a_destination_is_masked(destination: str, shown: str) -> None:
    assert masked(destination) == shown


@given(st.text(max_size=60))
def test_of_any_text_little_is_left(text: str) -> None:
    shown = masked(text)

    assert len(shown) <= 255
    if "@" not in text:
        assert len(shown) <= len("+1*******71")
    assert masked(shown) in (shown, "***", "***" + shown.partition("***")[2])


@pytest.mark.parametrize(
    ("text", "destination", "shown"),
    [
        ("550 <ann@example.org> unknown", "ann@example.org", "550 <a***@example.org> unknown"),
        ("550 <ANN@Example.org> unknown", "ann@example.org", "550 <a***@example.org> unknown"),
        ("for ann@example.org: no", "Ann <ann@example.org>", "for a***@example.org: no"),
        ("no mailbox bea@example.net", "ann@example.org", "no mailbox b***@example.net"),
        ("'+1 415-555-2671' can't be reached", "+14155552671", "'+1*******71' can't be reached"),
        ("The number 4155552671 is off", "+14155552671", "The number +1*******71 is off"),
        ("(415) 555-2671 and +442071838750", "+14155552671", "(+1*******71 and +4*******50"),
        ("no such user: nobody!", "nobody", "no such user: ***!"),
        ("error 21614 at 12:00", "+14155552671", "error 21614 at 12:00"),
        ("this is not an address", "", "this is not an address"),
    ],
)
def test_a_message_does_not_tell_it_either(text: str, destination: str, shown: str) -> None:
    assert without_destination(text, destination) == shown
