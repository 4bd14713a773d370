"""Every command, in groups and by option, as help and as Markdown: read off the parsers, so nothing is told twice.

`python -m gateway.commands.reference FILE` writes docs/commands.md; a test compares.
"""

import argparse
import difflib
import functools
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

GROUPS = {
    "A site": "up verify setup emulate bench",
    "A gateway as a service": "gateway config",
    "Boards": "boards devices flash uf2 offer logs shell run provision settings",
    "Devices and their owners": "label bind identify release",
    "What was earned": "earnings work audit evidence conformance",
    "Markets and governance": "relay escrow buyer account deed vote simulate",
    "Models and jobs": "model qualify job",
    "Stores": "r1fs cstore",
    "Encrypted learning": "edil shareholder",
}
NAME_COLUMNS, HELP_COLUMNS = 15, 80


def names() -> list[str]:
    """All commands in the order of their groups."""
    return [name for group in GROUPS.values() for name in group.split()]


def overview(root: argparse.ArgumentParser) -> str:
    """The help of `tinyren` itself: commands by what they are for, within 80 columns."""
    told = _told(_commands(root))
    lines = [root.format_usage(), f"{root.description}\n"]
    for group, members in GROUPS.items():
        lines.append(f"{group}:")
        for name in members.split():
            told_lines = textwrap.wrap(told[name], HELP_COLUMNS - NAME_COLUMNS)
            lines += [
                f"  {name:<{NAME_COLUMNS - 2}}{told_lines[0]}",
                *(" " * NAME_COLUMNS + more for more in told_lines[1:]),
            ]
        lines.append("")
    lines.append("tinyren COMMAND --help says more of each; all options: docs/commands.md\n")
    return "\n".join(lines)


def markdown(root: argparse.ArgumentParser) -> str:
    """docs/commands.md."""
    found = _commands(root)
    told = _told(found)
    lines = [
        "# Commands",
        "",
        "Written from the parsers by `python -m gateway.commands.reference docs/commands.md`; a test compares.",
        "`tinyren COMMAND --help` says the same.",
    ]
    for group, members in GROUPS.items():
        lines += ["", f"## {group}"]
        for name in members.split():
            for words, summary, parser in _walk(name, told[name], found.choices[name]):
                lines += ["", f"### tinyren {words}", "", f"{_sentence(summary)}", *_table(parser)]
    return "\n".join(lines) + "\n"


def describe(parser: argparse.ArgumentParser) -> None:
    """Have every command's help begin with what it is for, and its errors end with where more is said."""
    parser.error = functools.partial(_end, parser)  # type: ignore[method-assign]
    for found in (item for item in parser._actions if isinstance(item, argparse._SubParsersAction)):
        for name, told in _told(found).items():
            command = found.choices[name]
            command.description = command.description or _sentence(told).replace("%", "%%")
            describe(command)


def _end(parser: argparse.ArgumentParser, text: str) -> NoReturn:
    """A wrong command line: what is wrong in the last line, the help before it where a verb lacks; exit code 2."""
    if choice := re.fullmatch(r"argument ([A-Z|-]+): invalid choice: '(.*?)' \(choose from (.*)\)", text):
        near = difflib.get_close_matches(choice[2], re.findall(r"'([^']+)'", choice[3]), 1)
        text = f"there is no {choice[1].lower()} {choice[2]!r}{f', did you mean {near[0]}?' if near else ''}"
    if re.search("required: [A-Z]+$", text):
        parser.print_help(sys.stderr)
    parser.exit(2, f"{parser.prog}: {text}; see: {parser.prog} --help\n")


def _commands(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    return next(item for item in parser._actions if isinstance(item, argparse._SubParsersAction))


def _told(found: "argparse._SubParsersAction[argparse.ArgumentParser]") -> dict[str, str]:
    """Name -> what the command is for. One without help text is no command for users."""
    return {item.dest: _plain(item.help) for item in found._choices_actions}


def _walk(
    words: str, summary: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """A command and, below it, each of its verbs: words, what it is for, its parser."""
    yield words, summary, parser
    for found in (item for item in parser._actions if isinstance(item, argparse._SubParsersAction)):
        told = _told(found)
        for name in told:
            yield from _walk(f"{words} {name}", told[name], found.choices[name])


def _table(parser: argparse.ArgumentParser) -> list[str]:
    rows = [
        f"| {_form(item)} | {_cell(parser, item)} |"
        for item in parser._actions
        if item.help != argparse.SUPPRESS and not isinstance(item, argparse._HelpAction | argparse._SubParsersAction)
    ]
    return ["", "| argument | meaning |", "|---|---|", *rows] if rows else []


def _form(item: argparse.Action) -> str:
    """`--rpc URL` or `SITE`."""
    value = item.metavar or (None if item.nargs == 0 else item.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    words = [", ".join(item.option_strings)] if item.option_strings else []
    if item.choices and not item.metavar:
        value = ",".join(str(choice) for choice in item.choices)
    return f"`{' '.join([*words, *([value] if value and item.nargs != 0 else [])])}`"


def _cell(parser: argparse.ArgumentParser, item: argparse.Action) -> str:
    text = _plain(parser._get_formatter()._expand_help(item)) if item.help else ""
    needed = item.required and bool(item.option_strings)
    return (text + (" (needed)" if needed else "")).replace("|", "\\|")


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


if __name__ == "__main__":
    from gateway.cli import parser

    Path(sys.argv[1]).write_text(markdown(parser()))
