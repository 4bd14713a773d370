"""SITE/site.toml: what is written is read again, and a file that somebody edited is refused by field."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import CommandError
from gateway.site import site_file
from gateway.site.site_file import Site

GOOD = 'boards = ["qemu_virt_rv32"]\nepoch_seconds = 60\n'
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SITES = st.builds(
    Site,
    boards=st.lists(TEXT, max_size=3),
    epoch_seconds=st.integers(1, 2**40),
    oracles=st.lists(TEXT, max_size=3),
    gateway=TEXT,
    chain_rpc=TEXT,
    chain_external=st.booleans(),
    contracts=st.dictionaries(st.sampled_from(["r1", "deeds", "devices", "settlement"]), TEXT),
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(SITES)
def test_what_is_written_is_read_again(tmp_path_factory, site):
    folder = tmp_path_factory.mktemp("site")
    site_file.write(folder, site)
    assert site_file.read(folder) == site
    assert [path.name for path in folder.iterdir()] == [site_file.NAME]


def test_where_there_is_no_file_there_is_no_site(tmp_path):
    assert site_file.read(tmp_path) is None and site_file.read(tmp_path / "nothing") is None


def test_what_the_file_does_not_say_is_as_on_a_new_site(tmp_path):
    (tmp_path / site_file.NAME).write_text('boards = ["b"]\n')
    assert site_file.read(tmp_path) == Site(boards=["b"])
    assert (Site(boards=[]).windows, Site(boards=[], epoch_seconds=8, window_seconds=2).windows) == (12, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "boards is missing"),
        (b"boards = [", "Invalid"),
        (b"\xff", "utf-8"),
        (GOOD.encode() + b"speed = 1", "unknown field 'speed'; wanted boards, epoch_seconds"),
        (b'boards = "a"', "boards: got 'a', wanted list[str]"),
        (b"boards = [1]", "boards: got [1], wanted list[str]"),
        (b"boards = []\nepoch_seconds = 1.5", "epoch_seconds: got 1.5, wanted <class 'int'>"),
        (b"boards = []\nepoch_seconds = true", "epoch_seconds: got True"),
        (b"boards = []\nchain_external = 1", "chain_external: got 1"),
        (b"boards = []\ncontracts = { r1 = 1 }", "contracts: got {'r1': 1}, wanted dict[str, str]"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_wanted_and_the_file_is_left(tmp_path, text, message):
    path = tmp_path / site_file.NAME
    path.write_bytes(text)
    with pytest.raises(CommandError) as raised:
        site_file.read(tmp_path)
    assert message in str(raised.value) and str(raised.value).startswith(str(path)) and raised.value.code == 2
    assert path.read_bytes() == text


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_foreign_bytes_are_a_site_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("site")
    (folder / site_file.NAME).write_bytes(GOOD.encode() + content)
    try:
        assert site_file.read(folder).boards == ["qemu_virt_rv32"]
    except CommandError as error:
        assert error.code == 2
