"""docs/contracts.md and the help of its commands: every verb is there, and the figures are measured."""

import argparse
import json

import pytest

from contracts import gas
from gateway import cli
from tests.up_site import ROOT

TEXT = (ROOT / "docs" / "contracts.md").read_text()


def choices(parser):
    return next(item for item in parser._actions if isinstance(item, argparse._SubParsersAction)).choices


def verbs(parser, name):
    """Every verb of a command that has none below it, by all its words; the command itself if it has no verbs."""
    if not any(isinstance(item, argparse._SubParsersAction) for item in parser._actions):
        return {name: parser}
    return {
        words: found
        for verb, inner in choices(parser).items()
        for words, found in verbs(inner, f"{name} {verb}").items()
    }


VERBS = {
    words: parser
    for first in ("account", "deed", "escrow", "relay", "vote")
    for words, parser in verbs(choices(cli.parser())[first], first).items()
}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_in_the_document_and_its_options_say_what_they_are_for(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert f"tinyren {name} " in TEXT
    assert all(action.help for action in VERBS[name]._actions)
    assert max(map(len, VERBS[name].format_help().splitlines())) <= 80


def test_what_sends_something_can_be_tried_and_everything_speaks_json():
    for name, parser in VERBS.items():
        options = {word for action in parser._actions for word in action.option_strings}
        assert "--json" in options and ({"--dry-run", "--key"} <= options) == (not name.endswith(" show")), name


def test_the_gas_in_the_document_is_the_committed():
    names = [f"claim of an account for {deeds} deeds, 1,000,000 leaves" for deeds in ("1", "100", "10,000")]
    names += ["claim of 10 deeds at once, 1,000,000 leaves", "claim of 1,000 leaves, once more", "post a root, 3 of 5"]
    committed = json.loads(gas.SNAPSHOT.read_text())
    assert not [name for name in names if f"{committed[name]:,}" not in TEXT]


def test_gas_stays_below_what_was_promised():
    committed = json.loads(gas.SNAPSHOT.read_text())
    assert committed["post a root, 3 of 5"] <= 70_000
    assert all(value <= 75_000 for name, value in committed.items() if name.startswith("claim of an account"))
