"""How a command ends when it cannot go on: one line for a person, one exit code for a program.

Raised below, caught only in cli.py.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `tinyren`; the same number means the same in every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NOTHING_TO_DO = 5
    PORT = 6
    TIMEOUT = 7
    TRUST = 8
    ROLLED_BACK = 9
    PARTLY = 10
    CHAIN = 11
    WARNINGS = 12


class CommandError(Exception):
    """A command cannot go on. The message says what was got, what was wanted and what to do next."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
