"""What a caller may demand of a thing before a request touches it: If-Match and If-None-Match (RFC 9110, 13.1). Pure.

Django's `parse_etags` drops what it can't read and cuts a tag at a comma inside of it: a guard that was mistyped would
be no guard. So lists are read here, and a malformed one is an error.
"""

import re
from dataclasses import dataclass

# An element of a list (5.6.1) of entity tags (8.8.3), perhaps empty. Possessive: no header takes quadratic time.
ELEMENT = re.compile(r'[ \t]*+((?:W/)?"[!#-~\x80-\xff]*+")?+[ \t]*+(?:,|\Z)')
# Stands for every tag; no tag is spelled so, since tags are quoted.
ANY = frozenset({"*"})
WEAK = "W/"


class MalformedTags(ValueError):
    """The header is neither `*` nor a list of entity tags."""


def read_tags(header: str) -> frozenset[str]:
    """Return the tags of a header, quoted as they came, or ANY for `*`. Raises MalformedTags."""
    if header.strip(" \t") == "*":
        return ANY
    tags = set()
    position = 0
    while position < len(header):
        element = ELEMENT.match(header, position)
        if element is None:
            raise MalformedTags(header[position : position + 40])
        if element[1]:
            tags.add(element[1])
        position = element.end()
    if not tags:
        raise MalformedTags(header[:40])
    return frozenset(tags)


@dataclass(frozen=True, slots=True)
class Precondition:
    """What two headers demand; None for one that was not sent."""

    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None

    def has_match(self, tag: str) -> bool:
        """Say whether If-Match lets a request go on to what has this strong tag; weak ones match nothing (13.1.1)."""
        return self.if_match is None or self.if_match == ANY or tag in self.if_match

    def has_none(self, tag: str) -> bool:
        """Say whether If-None-Match lets it go on; weak tags count as strong ones there (13.1.2)."""
        if self.if_none_match is None:
            return True
        return self.if_none_match != ANY and tag not in {known.removeprefix(WEAK) for known in self.if_none_match}

    def admits(self, tag: str) -> bool:
        """Say whether a write may go on to what has this tag."""
        return self.has_match(tag) and self.has_none(tag)
