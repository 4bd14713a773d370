"""A gateway's backup: sealed, whole or refused; and its restoring, wholly or not at all."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.edge import backup, backup_file, restore
from gateway.edge.backup_file import Member, Secret
from gateway.errors import CommandError, Exit
from gateway.storage.embedded import Embedded
from gateway.storage.errors import Refused
from gateway.storage.sealed import seal
from tests.backup_scene import ABOUT, KEY, make_site, member, packed, tree, unpack
from tests.up_site import ROOT


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "site")


@pytest.mark.parametrize("secret", [KEY, Secret(passphrase="correct horse battery")], ids=["key", "passphrase"])
def test_what_is_saved_comes_back_byte_for_byte(secret, site, tmp_path):
    with backup.moment(site) as found:
        content = b"".join(backup_file.write(found.members, found.about, secret))
    manifest = unpack(content, tmp_path / "again", secret)
    before, after = tree(site), tree(tmp_path / "again")
    gone = {"lock", "logs/oracle-1.log", "r1fs/lock", "backup.lock"}
    changed = {name for name in after if after[name] != before[name]}
    assert set(before) - set(after) == gone and (manifest["epoch"], manifest["gateway"]) == (2, "0xabc")
    assert all(name.endswith(".sqlite") for name in changed)
    assert os.stat(tmp_path / "again/keys/gateway.key").st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "again").st_mode & 0o077 == 0
    with closing(Embedded(tmp_path / "again/r1fs")) as store:
        assert [b"".join(store.read(pin.cid)) for pin in store.pins()] == [b"a model"] and len(manifest["pins"]) == 1
    assert not (site / backup.STAGING).exists() and b"1f" * 8 not in content


def test_a_backup_that_goes_into_r1fs_leaves_r1fs_out_and_names_its_pins(site):
    with backup.moment(site, with_r1fs=False) as found:
        assert not [one.name for one in found.members if one.name.startswith("r1fs")]
        assert len(found.about["pins"]) == 1


def test_only_one_backup_is_made_at_a_time(site):
    with backup.moment(site), pytest.raises(CommandError, match="another backup"), backup.moment(site):
        pass


def test_another_key_a_wrong_passphrase_and_the_other_kind_open_nothing(tmp_path):
    phrase = Secret(passphrase="correct horse battery")
    for content, secret, said in (
        (packed(member("a")), Secret(key=PrivateKey(b"\x02" * 32)), "does not open it"),
        (packed(member("a"), secret=phrase), Secret(passphrase="correct horse"), "does not open it"),
        (packed(member("a")), phrase, "for a key file"),
        (packed(member("a"), secret=phrase), KEY, "for a passphrase"),
    ):
        with pytest.raises(Refused, match=said):
            unpack(content, tmp_path / "site", secret)
        assert list(tmp_path.iterdir()) == []


def test_a_backup_of_a_newer_version_is_refused_with_what_to_do(tmp_path):
    for content in (
        packed(member("a"), about={**ABOUT, "version": "99.0"}),
        packed(member("a")).replace(b"tinyren backup 1\n", b"tinyren backup 2\n", 1),
    ):
        with pytest.raises(Refused, match="version"):
            unpack(content, tmp_path / "site")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["0.0.9", "0.0", "", "0.1.0"])
def test_a_backup_of_an_older_version_or_this_one_is_restored(version, tmp_path):
    unpack(packed(member("a"), about={**ABOUT, "version": version}), tmp_path / "site")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "./a", "a//b", "", "a" * 100, "a\nb", "."])
def test_a_member_outside_of_the_folder_is_neither_written_nor_taken(name, tmp_path):
    with pytest.raises(Refused):
        packed(member(name))
    assert not backup_file.is_name(name)


def test_a_folder_with_something_in_it_is_not_touched(site, tmp_path, capsys):
    (tmp_path / "k").write_text("01" * 32)
    (tmp_path / "b").write_bytes(packed(member("a")))
    before = tree(site)
    command = ["gateway", "restore", str(tmp_path / "b"), str(site), "--key", str(tmp_path / "k")]
    assert cli.main(command) == Exit.REFUSED
    assert f"at epoch 2, with 0 devices; end it and move it away first: mv {site}" in capsys.readouterr().err
    with pytest.raises(CommandError, match="end it and move it away first"):
        unpack(packed(member("a")), site)
    assert tree(site) == before
    (tmp_path / "empty").mkdir()
    unpack(packed(member("a")), tmp_path / "empty")
    assert tree(tmp_path / "empty") == {"a": b"x"}


@settings(derandomize=True, max_examples=120, deadline=None)
@given(st.data())
def test_a_changed_or_cut_backup_leaves_nothing(tmp_path_factory, data):
    content = bytearray(_WHOLE)
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("r")
    salt = slice(len(backup_file.MAGIC) + 1, len(backup_file.MAGIC) + 1 + backup_file.SALT_BYTES)
    if bytes(content[: salt.start]) + _WHOLE[salt] + bytes(content[salt.stop :]) == _WHOLE:
        return  # with a key file the salt means nothing
    with pytest.raises(Refused):
        unpack(bytes(content), folder / "site")
    assert list(folder.iterdir()) == []


_WHOLE = packed(member("keys/gateway.key", b"1f" * 32), member("evidence/epoch-1.cborseq", bytes(3000)))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.binary(max_size=2000))
def test_what_is_sealed_for_us_and_is_no_backup_leaves_nothing(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("r")
    whole = b"".join(seal([content], [KEY.key.public_key.format()]))
    with pytest.raises(Refused):
        unpack(backup_file.MAGIC + bytes(1 + backup_file.SALT_BYTES) + whole, folder / "site")
    assert list(folder.iterdir()) == []


def test_a_manifest_that_names_other_content_is_refused(tmp_path, monkeypatch):
    real = json.dumps
    monkeypatch.setattr(backup_file.json, "dumps", lambda value: real(value | {"members": {}}))
    with pytest.raises(Refused, match="manifest names other content"):
        unpack(packed(member("a")), tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


RESTORE = """
import sys
from pathlib import Path
from gateway.edge import restore
from tests.backup_scene import KEY, packed, member
def slowly():
    content = packed(*(member(f"f{number}", bytes(10_000)) for number in range(40)))
    for at in range(0, len(content), 4096):
        if at > len(content) // 2:
            print("half", flush=True)
            sys.stdin.read(1)
        yield content[at : at + 4096]
restore.restore(slowly(), Path(sys.argv[1]), KEY)
"""


def test_a_restore_that_is_killed_leaves_no_gateway_and_the_next_one_succeeds(tmp_path):
    command = [sys.executable, "-c", RESTORE, str(tmp_path / "site")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "site").exists() and (tmp_path / ".site.restoring").exists()
    unpack(packed(member("a")), tmp_path / "site")
    assert [path.name for path in tmp_path.iterdir()] == ["site"] and tree(tmp_path / "site") == {"a": b"x"}


def test_a_folder_appears_by_one_rename_or_not_at_all(tmp_path, monkeypatch):
    def refuse(source, target):
        assert tree(source) == {"a": b"x"} and not target.exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restore.os, "replace", refuse)
    with pytest.raises(CommandError, match="No space left on device; nothing was restored"):
        unpack(packed(member("a")), tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_became_shorter_is_told(tmp_path):
    (tmp_path / "f").write_bytes(b"12")
    with pytest.raises(Refused, match="became shorter"):
        packed(Member("f", 3, 0o600, backup_file.pieces(tmp_path / "f", 3)))
