"""Which recipients an email node may name."""

import pytest

from channels.email_addresses import InvalidAddressError, Mailbox, parse_mailbox


@pytest.mark.parametrize(
    ("text", "address", "header"),
    [
        ("ann@x.org", "ann@x.org", "ann@x.org"),
        ("  ann@x.org\t", "ann@x.org", "ann@x.org"),
        ("<ann@x.org>", "ann@x.org", "ann@x.org"),
        ("Ann <ann@x.org>", "ann@x.org", "Ann <ann@x.org>"),
        ("Ann B. <ann@x.org>", "ann@x.org", '"Ann B." <ann@x.org>'),
        ('"Bell, Ann" <ann@x.org>', "ann@x.org", '"Bell, Ann" <ann@x.org>'),
        (r'"Ann \"the\" Bell" <ann@x.org>', "ann@x.org", r'"Ann \"the\" Bell" <ann@x.org>'),
        ("Änn <ann@x.org>", "ann@x.org", "Änn <ann@x.org>"),
        ("ann+tag@mail.x.org", "ann+tag@mail.x.org", "ann+tag@mail.x.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        # IDNA 2003 would send this to strasse.de, which is another domain.
        ("ann@straße.de", "ann@xn--strae-oqa.de", "ann@xn--strae-oqa.de"),
        ("ann@localhost", "ann@localhost", "ann@localhost"),
        ("a" * 64 + "@x.org", "a" * 64 + "@x.org", "a" * 64 + "@x.org"),
    ],
)
def test_one_address_is_read(text: str, address: str, header: str) -> None:
    assert parse_mailbox(text) == Mailbox(address=address, header=header)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not an email address"),
        ("ann", "not an email address"),
        ("ann@", "not an email address"),
        ("@x.org", "not an email address"),
        ("ann@x..org", "not an email address"),
        ("ann @x.org", "not an email address"),
        ("Ann <ann@x.org", "not an email address"),
        ("Ann <ann@x.org> and more", "not an email address"),
        ("ann@x.org (Ann)", "not an email address"),
        ("friends: ann@x.org;", "not an email address"),
        ("ann@x.org, bob@x.org", "not exactly one"),
        ("ann@x.org;bob@x.org", "not exactly one"),
        ("ann@x.org, Bob <bob@x.org>", "not exactly one"),
        ("änn@x.org", "before the @ has characters outside ASCII"),
        ("ann@\u2603\u2603.\u2014", "not a valid international domain"),
        ("a" * 65 + "@x.org", "too long"),
        ("ann@" + ".".join(["a" * 60] * 5) + ".org", "too long"),
    ],
)
def test_anything_else_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidAddressError) as refused:
        parse_mailbox(text)

    assert sentence in str(refused.value)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("text", ["(" * 50_000, "<" * 50_000 + "a@x.org", "a" * 200_000, '"' * 50_001 + "@x.org"])
def test_hostile_text_is_refused_quickly(text: str) -> None:
    with pytest.raises(InvalidAddressError):
        parse_mailbox(text)
