"""A share-holder at work: one answer for ever, whatever kills it, and a reason for all that it does not answer."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from gateway import curve
from gateway.edil import counting, owner
from gateway.edil.answers import Answer, Answers
from gateway.edil.client import Gateway
from gateway.edil.holder import Holder
from gateway.edil.shares import SetRefused
from gateway.errors import CommandError, Exit
from gateway.oracle.rewards import Deed
from gateway.oracle.rpc import ChainAway
from tests.edil_scene import DATA_OWNER, HOLDER, OWNER, THIRD, Scene, make_device, make_key
from tests.edil_web import FakeService, serve_edil

SCENE = Scene()
CLOSED = SCENE.close()
OTHER = SCENE.close([SCENE.contribute(device) for device in SCENE.devices[:2]])
KEY = HOLDER.public_key.format()
DATA_OWNER_ADDRESS = curve.address_of(DATA_OWNER.secret)
OWNER_ADDRESS = curve.address_of(OWNER.secret)


def count_any():
    return counting.count_any


@pytest.fixture
def path(tmp_path):
    return tmp_path / "holder.answers"


def make_holder(path, secret=HOLDER, counted=count_any, least=2, say=lambda text: None):
    return Holder(secret, Answers(path, secret.public_key.format()), counted, least, say)


def answer(holder, closed=CLOSED):
    return holder.answer(closed.manifest, closed.closed_set)[1]


def test_the_same_set_gets_the_same_bytes_for_ever_and_another_set_of_the_round_none(path):
    first = answer(make_holder(path))
    holder = make_holder(path)
    assert answer(holder) == first
    for closed in (OTHER, Scene(manifest_changes={"clip": 99}).close()):
        with pytest.raises(SetRefused, match="one answer a round"):
            answer(holder, closed)
    assert answer(make_holder(path)) == first and Answers(path, KEY).count() == 1


def test_another_round_and_another_data_owner_are_other_answers(path):
    holder = make_holder(path)
    first = answer(holder)
    second = answer(holder, Scene(manifest_changes={"round": 8}).close())
    third = answer(holder, Scene(holders=[THIRD, HOLDER]).close())
    assert len({first, second, third}) == 3 and Answers(path, KEY).count() == 3


def test_a_refused_set_leaves_nothing(path):
    holder = make_holder(path, least=4)
    with pytest.raises(SetRefused):
        answer(holder)
    assert Answers(path, KEY).count() == 0


def test_the_data_owners_own_key_answers_nothing(path):
    with pytest.raises(SetRefused, match="the data owner's"):
        answer(make_holder(path, secret=DATA_OWNER))


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_before_or_after_the_answer_is_stored_it_never_gives_two(path, when):
    """The process kills itself at the store's one transaction; what it comes back to is none or all of the answer."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        f"sys.path[:0] = [{os.getcwd()!r}]\n"
        "from tests.edil import test_edil_holder as t\nfrom gateway.edil.answers import Answers\n"
        "keep = Answers.keep\n"
        "def die(self, *arguments):\n"
        f"    {'keep(self, *arguments)' if when == 'after' else 'pass'}\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Answers.keep = die\n"
        f"t.answer(t.make_holder(Path({str(path)!r})))\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL

    holder = make_holder(path)
    if when == "after":
        kept = Answers(path, KEY).find(DATA_OWNER_ADDRESS, SCENE.manifest.round)
        assert answer(holder) == kept.share
        with pytest.raises(SetRefused, match="one answer a round"):
            answer(holder, OTHER)
    else:
        assert Answers(path, KEY).count() == 0
        assert answer(holder, OTHER)
        with pytest.raises(SetRefused, match="one answer a round"):
            answer(holder)


def test_two_processes_on_one_file_give_one_answer(path):
    first, second = Answers(path, KEY), Answers(path, KEY)
    one, two = Answer(b"m" * 32, b"1" * 32, b"first"), Answer(b"m" * 32, b"2" * 32, b"second")
    assert first.find(b"o" * 20, 1) is None and second.find(b"o" * 20, 1) is None
    assert first.keep(b"o" * 20, 1, one) == one
    assert second.keep(b"o" * 20, 1, two) == one


def test_an_answer_for_which_there_is_no_space_is_not_given(path):
    holder = make_holder(path)
    (pages,) = holder._answers._database.execute("PRAGMA page_count").fetchone()
    holder._answers._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match="full"):
        answer(holder)
    assert Answers(path, KEY).count() == 0 and answer(make_holder(path), OTHER)


def test_an_answer_that_cannot_be_stored_is_not_given(path):
    holder = make_holder(path)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("PRAGMA busy_timeout = 0")
    lock.execute("BEGIN EXCLUSIVE")
    holder._answers._database.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(OSError):
        answer(holder)
    lock.execute("ROLLBACK")
    assert Answers(path, KEY).count() == 0 and answer(holder)


def test_answers_of_another_key_and_damaged_ones_are_refused(path):
    Answers(path, KEY).close()
    with pytest.raises(CommandError) as refused:
        Answers(path, DATA_OWNER.public_key.format())
    assert refused.value.code == Exit.REFUSED and path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"noise" * 1000)
    with pytest.raises(CommandError) as refused:
        Answers(path, KEY)
    assert refused.value.code == Exit.TRUST and path.read_bytes() == b"noise" * 1000


@pytest.fixture
def gateway():
    """A gateway's EDIL routes over HTTP, with the scene's closed round, and its service."""
    service = FakeService()
    service.publish(SCENE.manifest, CLOSED)
    with serve_edil(service) as url:
        yield Gateway(url), service


def test_it_answers_a_gateways_closed_round_once_and_says_so(path, gateway):
    client, service = gateway
    said = []
    holder = make_holder(path, say=said.append)
    assert [holder.turn(client) for _ in range(2)] == [
        {"answered": 1, "refused": 0, "waiting": 0}, {"answered": 0, "refused": 0, "waiting": 0},
    ]  # fmt: skip
    opened = owner.open_round(CLOSED, service.given, DATA_OWNER, counting.count_any, 2)
    assert opened.values == SCENE.expected() and len(said) == 1 and "3 devices" in said[0]
    assert make_holder(path).turn(client)["answered"] == 1 and len(set(service.given)) == 1


def test_it_says_why_it_refuses_once_and_shows_no_key(path, gateway):
    client, service = gateway
    service.publish(SCENE.manifest, CLOSED._replace(closed_set=CLOSED.closed_set[:-1] + b"\0"))
    said = []
    holder = make_holder(path, say=said.append)
    assert holder.turn(client)["refused"] == 1 and holder.turn(client) == {"answered": 0, "refused": 0, "waiting": 0}
    assert len(said) == 1 and "not 0x" in said[0] and not service.given
    assert HOLDER.to_hex() not in "".join(said)


def test_what_is_away_is_asked_again_and_told_once(path, gateway):
    client, service = gateway
    said, states = [], [ChainAway("eth_call: refused"), ChainAway("eth_call: refused"), None]

    def counted():
        if error := states.pop(0):
            raise error
        return counting.count_any

    holder = make_holder(path, counted=counted, say=said.append)
    assert [holder.turn(client)["waiting"] for _ in range(2)] == [1, 1] and len(said) == 1
    assert holder.turn(client)["answered"] == 1
    service.stop()
    away = Gateway("http://127.0.0.1:9")
    assert [holder.turn(away)["waiting"] for _ in range(2)] == [1, 1] and len(said) == 3


def test_a_gateway_that_tells_nonsense_is_no_danger(path, gateway):
    client, service = gateway
    holder = make_holder(path)
    for rows in ([{}], [{"state": "closed"}], [{"state": "closed", "digest": "zz", "set": 5}], [1], {"a": 1}):
        service.rows = rows
        assert holder.turn(client)["answered"] == 0
    assert not service.given


BOUND = {1: Deed(OWNER_ADDRESS, 4, tuple(device.id for device in SCENE.devices))}
STRANGERS = curve.address_of(make_key("other").secret)


@pytest.mark.parametrize(
    ("deeds", "reason"),
    [
        ({}, "is bound to no deed"),
        ({1: Deed(OWNER_ADDRESS, 4, tuple(device.id for device in SCENE.devices[:2]))}, "is bound to no deed"),
        ({1: Deed(STRANGERS, 4, tuple(device.id for device in SCENE.devices))}, "is enrolled by 0x"),
    ],
    ids=["no deed", "one not bound", "deed of another owner"],
)
def test_devices_that_the_chain_does_not_know_are_not_counted(path, deeds, reason):
    with pytest.raises(SetRefused, match=reason):
        answer(make_holder(path, counted=lambda: counting.count_bound(deeds)))
    assert answer(make_holder(path, counted=lambda: counting.count_bound(BOUND)))


def test_devices_of_a_list_are_counted_and_no_others(tmp_path, path):
    listed = tmp_path / "devices.txt"
    lines = [f"0x{device.id.hex()}" for device in SCENE.devices]
    listed.write_text("\n".join([f"{lines[0]} {OWNER_ADDRESS.hex()}  # the first", "", *lines[1:]]))
    assert answer(make_holder(path, counted=lambda: counting.count_listed(listed)))
    for text, reason in (
        ("\n".join(lines[1:]), "is not in devices.txt"),
        ("\n".join([f"{lines[0]} 0x{STRANGERS.hex()}", *lines[1:]]), "wanted 0x" + STRANGERS.hex()),
    ):
        listed.write_text(text)
        with pytest.raises(SetRefused, match=reason):
            answer(make_holder(path, counted=lambda: counting.count_listed(listed)))


@pytest.mark.parametrize("text", ["", "# none\n", "0x12", "zz" * 20, "11" * 20 + " " + "22" * 20 + " 3"])
def test_a_list_that_is_none_is_refused(tmp_path, text):
    listed = tmp_path / "devices.txt"
    listed.write_text(text)
    with pytest.raises(CommandError) as refused:
        counting.count_listed(listed)
    assert refused.value.code == Exit.USAGE


def test_any_device_says_in_words_what_it_gives_away():
    assert "k_min is worth nothing" in counting.ANY_DEVICE
    assert counting.count_any(make_device(9).id, OWNER_ADDRESS) == ""
