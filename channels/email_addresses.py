"""Which text is one email address that can be reached over plain SMTP, and its canonical spelling."""

import re
from dataclasses import dataclass
from email.headerregistry import Address

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

# RFC 5321, 4.5.3.1: 64 octets before the @; a path of 256 octets with its angle brackets leaves 254 for both.
LONGEST_LOCAL_PART = 64
LONGEST_ADDRESS = 254
# Stricter than RFC 5322 on purpose: no comments, no groups, no missing brackets. The standard library's
# parser accepts "Ann <ann@x.org> and more" and recurses on nested comments.
_SPEC = r"[^\s<>,;]+@[^\s<>,;@]+"
_QUOTED_NAME = r'"(?P<quoted>(?:[^"\\]|\\.)*)"'
_BARE_NAME = r'(?P<bare>[^"<>@,;:\\()]*)'
_MAILBOX = re.compile(rf"(?:{_QUOTED_NAME}|{_BARE_NAME})\s*<\s*(?P<spec>{_SPEC})\s*>")


class InvalidAddressError(ValueError):
    """Say in a sentence why a text is not one usable address."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Name one mailbox: `address` is ASCII, `header` is the same with the display name, for From and To."""

    address: str
    header: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def parse_mailbox(text: str) -> Mailbox:
    """Read `ann@example.org` or `Ann <ann@example.org>`.

    A domain in another script is turned into its ASCII form (IDNA 2008 with the mapping of UTS 46).
    Raises InvalidAddressError when the text is not exactly one address, is too long, or needs SMTPUTF8.
    """
    if "<" not in text and _is_plain(text):
        return Mailbox(address=text, header=text)
    name, spec = _take_apart(text.strip())
    local_part, _, domain = spec.rpartition("@")
    if not local_part.isascii():
        raise InvalidAddressError(
            "the part before the @ has characters outside ASCII, which this service does not send to"
        )
    address = f"{local_part}@{_to_ascii(domain)}"
    if len(local_part) > LONGEST_LOCAL_PART or len(address) > LONGEST_ADDRESS:
        raise InvalidAddressError("the address is too long (RFC 5321 allows 64 before the @ and 254 in all)")
    if not _is_plain(address):
        raise InvalidAddressError("this is not an email address")
    return Mailbox(address=address, header=str(Address(display_name=name, addr_spec=address)))


def _is_plain(text: str) -> bool:
    local_part = text.rpartition("@")[0]
    if not text.isascii() or len(text) > LONGEST_ADDRESS or len(local_part) > LONGEST_LOCAL_PART:
        return False
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _take_apart(text: str) -> tuple[str, str]:
    if found := _MAILBOX.fullmatch(text):
        quoted = found["quoted"]
        name = found["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        return name.strip(), found["spec"]
    if re.fullmatch(_SPEC, text):
        return "", text
    if text.count("@") > 1:
        raise InvalidAddressError("this is not exactly one email address; a node sends to one")
    raise InvalidAddressError("this is not an email address")


def _to_ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise InvalidAddressError("the domain is not a valid international domain name") from None
