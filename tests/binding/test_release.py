"""A device is sold: identified, released by its owner's key, bound to another owner's deed; on an emulated board."""

import json
import re

import pytest

from gateway.errors import Exit
from tests.up_site import SHORT, Up, tinyren

pytest.importorskip("segno", reason="labels are drawn by the extra `labels`")
BOARD = "qemu_mps2_an385"


@pytest.fixture
def up(tmp_path):
    made = Up(tmp_path / "site", "--boards", BOARD, *SHORT)
    yield made
    made.process.kill()
    made.process.wait()


def run(up, verb, device, *more):
    return tinyren(verb, device, "--site", up.folder, *more)


def owner(up, number):
    return "--key", up.folder / "keys" / f"owner-{number}.key"


def row(state):
    return state["devices"][0]


def console(up):
    return (up.folder / "boards" / "1" / "logs" / "repl.log").read_text()


def test_a_sold_device_forgets_its_owner_by_that_owners_key_and_earns_for_the_next(up):
    up.wait_line("devices are ready")
    device = row(up.wait_state(lambda state: state["devices"] and row(state)["heartbeats"] > 0))["id"]

    shown = run(up, "identify", device, "--seconds", "8", "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["seconds"] == 8, shown.stderr
    again = run(up, "identify", device)
    assert again.returncode == Exit.REFUSED and "ask again in" in again.stderr
    up.wait_state(lambda _: console(up).count("light on") == 16 and console(up).endswith("light off\n"))

    other = run(up, "release", device, *owner(up, 2))
    assert other.returncode == Exit.REFUSED and "name its owner's key" in other.stderr
    assert row(up.state())["deed"] == 1 and console(up).count("device ") == 1

    done = run(up, "release", device, *owner(up, 1), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["deed"] == 1 and told["boot"] == 1 and told["tx"].startswith("0x")
    up.wait_state(lambda _: console(up).count("device ") == 2)  # it began anew
    assert row(up.state())["deed"] is None

    label = tinyren("label", device, "--replace", "--site", up.folder)
    manual = label.stdout.splitlines()[-1]
    assert re.fullmatch(r"(\w{4}-){2}\w{4}", manual), label.stderr
    bound = tinyren("bind", "--site", up.folder, "--deed", "2", *owner(up, 2), "--label", "-", "--json", input=manual)
    assert bound.returncode == 0, bound.stderr
    up.wait_state(lambda state: row(state)["deed"] == 2 and int(row(state)["earned_wei"]) > 0)
    assert up.end()[0] == 0


def test_a_lost_device_frees_its_slot_and_forgets_its_owner_once_it_is_found(up):
    up.wait_line("devices are ready")
    device = row(up.wait_state(lambda state: state["devices"] and row(state)["deed"] == 1))["id"]
    lost = run(up, "release", device, *owner(up, 1), "--lost")
    assert lost.returncode == 0 and "signs for its owner only" in lost.stdout, lost.stderr
    assert row(up.wait_state(lambda state: row(state)["deed"] is None))["id"] == device
    found = run(up, "release", device, *owner(up, 1))
    assert found.returncode == 0 and "the chain had released it before" in found.stdout, found.stderr
    assert up.end()[0] == 0


@pytest.mark.parametrize("verb", ["release", "identify"])
def test_a_device_or_a_site_that_is_none_is_refused_with_the_next_step(verb, tmp_path):
    key = tmp_path / "key"
    key.write_text("1f" * 32)
    more = ("--key", key) if verb == "release" else ()
    for device, site, said in (("0x12", tmp_path, "wanted a device id"), ("0x" + "ab" * 20, tmp_path, "tinyren up")):
        ended = tinyren(verb, device, "--site", site, *more)
        assert ended.returncode == Exit.USAGE and said in ended.stderr and not ended.stdout
    assert tinyren("identify", "ab" * 20, "--seconds", "31").returncode == Exit.USAGE
