"""Key files: made once, readable by their user alone, refused without showing what they hold."""

import os

import pytest
from coincurve import PrivateKey

from gateway import keys
from gateway.errors import CommandError

SECRET = "1f" * 32


def test_a_key_is_made_once_and_is_the_same_afterwards(tmp_path):
    path = tmp_path / "keys" / "gateway.key"
    made = keys.load_or_make(path)
    assert keys.load_or_make(path).secret == keys.load(path).secret == made.secret
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [item.name for item in path.parent.iterdir()] == ["gateway.key"]


def test_two_keys_differ(tmp_path):
    assert keys.load_or_make(tmp_path / "a").secret != keys.load_or_make(tmp_path / "b").secret


def test_what_a_killed_process_left_does_not_stay_readable(tmp_path):
    (tmp_path / "gateway.part").write_text("half a key")
    os.chmod(tmp_path / "gateway.part", 0o600)
    keys.load_or_make(tmp_path / "gateway.key")
    assert [item.name for item in tmp_path.iterdir()] == ["gateway.key"]


def test_a_small_key_keeps_its_zeros(tmp_path, monkeypatch):
    monkeypatch.setattr(keys.secrets, "token_bytes", lambda size: (1).to_bytes(size, "big"))
    assert (
        keys.load_or_make(tmp_path / "one.key").secret
        == keys.load(tmp_path / "one.key").secret
        == PrivateKey((1).to_bytes(32, "big")).secret
    )
    assert (tmp_path / "one.key").read_text() == "0" * 63 + "1\n"


@pytest.mark.parametrize(
    "text",
    ["", SECRET[:-1], SECRET + "0", "0x" + SECRET, "g" * 64, " 1" * 32, "0" * 64, "f" * 64, "\xff" * 64],
    ids=["empty", "short", "long", "0x", "no hex", "spaces", "zero", "above the order", "foreign"],
)
def test_another_content_is_refused_not_shown_and_not_replaced(tmp_path, text):
    path = tmp_path / "gateway.key"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CommandError, match="wanted 64 hex digits of a key") as raised:
        keys.load_or_make(path)
    assert raised.value.code == 2 and path.read_text(encoding="latin-1") == text
    assert not text or text not in str(raised.value)


def test_white_space_around_a_key_is_passed_over(tmp_path):
    (tmp_path / "key").write_text(f"\n {SECRET} \r\n")
    assert keys.load(tmp_path / "key").secret.hex() == SECRET
