"""Every command that a document prints is one: its words and options are those of the parsers; links lead somewhere."""

import argparse
import re

import pytest

from gateway import cli
from tests.up_site import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [path.name for path in DOCUMENTS]
PARSER = cli.parser()
COMMAND = re.compile(r"(?:^|[\s`(;&])(?:sudo -u tinyren |\.venv/bin/)?tinyren +([a-z][^`#\n;&>]*)")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def printed(text):
    """Commands in blocks and between backticks, without `tinyren`."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`(tinyren [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [found.strip() for part in [*blocks, *inline] for found in COMMAND.findall(part)]


def wrong(command):
    """What of a command is none, "" if all of it is one; `a|b` are alternatives."""
    parsers = [PARSER]
    for word in command.replace("\\|", "|").split():
        option = re.match(r"\[?(--[a-z0-9-]+)", word)
        if option and not any(option[1] in parser._option_string_actions for parser in parsers):
            return option[1]
        verbs = [found for parser in parsers for found in subparsers(parser)]
        if option or not verbs:
            continue
        names = [name.strip(",.") for name in word.split("|")]
        if not all(re.fullmatch("[a-z0-9-]+", name) for name in names):
            return ""
        parsers = [found.choices.get(name) for found in verbs for name in names]
        if None in parsers:
            return word
    return ""


def subparsers(parser):
    return [item for item in parser._actions if isinstance(item, argparse._SubParsersAction)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_what_a_document_prints_is_a_command(path):
    found = {command: wrong(command) for command in printed(path.read_text())}
    assert {command: what for command, what in found.items() if what} == {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_what_a_document_links_to_is_there(path):
    missing = [name for name in LINK.findall(path.read_text()) if not (path.parent / name).exists()]
    assert missing == []


def test_a_command_that_is_none_is_noticed():
    assert [wrong(text) for text in ("gatway up", "gateway dcotor", "up --epoch-second 5", "bind --lable X")] == [
        "gatway",
        "dcotor",
        "--epoch-second",
        "--lable",
    ]
    assert sum(len(printed(path.read_text())) for path in DOCUMENTS) > 100
