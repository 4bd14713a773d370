"""Foreign text made fit for people's eyes: a terminal obeys nothing of it."""

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # controls, and what turns text around
MOST_CHARACTERS = 400


def printable(text: str) -> str:
    """The text for a terminal, whoever wrote it: tabs and newlines stay, what else a terminal would obey is a "?"."""
    return _OBEYED.sub("?", text)


def one_line(value: object, most: int = MOST_CHARACTERS) -> str:
    """Foreign text on one line, cut to `most` characters, without what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in str(value)[:most])
