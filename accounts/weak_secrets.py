"""Which secrets everybody can guess. Pure."""

import re

FEWEST_CHARACTERS = 5
# What examples, templates and tutorials begin with, and what they say anywhere.
BEGINS = re.compile(
    r"(change|secret|your[-_ ]|my[-_ ]|replace|placeholder|example|default|insecure|password|todo|xxx)", re.IGNORECASE
)
SAYS = re.compile(r"django-insecure|change[-_ ]?me|not[-_ ]a[-_ ]secret|placeholder", re.IGNORECASE)


def weakness_of(secret: str, *, shortest: int) -> str | None:
    """Return what is wrong with a secret of at least `shortest` bytes, as the end of a sentence, or None."""
    if BEGINS.match(secret) or SAYS.search(secret):
        return "is the placeholder of an example"
    if len(secret.encode()) < shortest:
        return f"is shorter than {shortest} bytes"
    if len(set(secret)) < FEWEST_CHARACTERS:
        return f"has fewer than {FEWEST_CHARACTERS} different characters"
    return None
