"""Oracles as processes on a real broker and chain: they settle, survive kill -9, and do not sign other evidence."""

import dataclasses
import shutil
import subprocess

import pytest
from oracle_site import DEVICES, ORACLES, ROOT, SERVICE, Site, address

from gateway.oracle import messages, rewards
from gateway.oracle.statements import Held, Signature
from gateway.verify_site import verify_site


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.stop()


def test_oracles_settle_epoch_after_epoch_and_the_second_scorer_agrees(site):
    site.start(1, 2, 3)
    close = site.record(1, {DEVICES[0]: range(4), DEVICES[1]: [0, 1], DEVICES[2]: [3]})
    site.say(close)
    first = site.verdict(close)
    assert [first.availability[address(key)] for key in DEVICES] == [255, 127, 63]
    one, two = rewards.epoch_reward(255 + 127, 4), rewards.epoch_reward(63, 1)
    assert first.leaves == ((1, one), (2, two)) and first.minted == first.total == one + two

    def signed(heard):
        return {who: said.root for who, said in heard if isinstance(said, Signature)}

    roots = signed(site.wait(lambda heard: len(signed(heard)) == 3))
    assert set(roots) == set(map(address, ORACLES)) and set(roots.values()) == {first.attested()}
    assert len(site.settle(first)) == 2
    close = site.record(2, {DEVICES[2]: range(4)})
    site.say(close)
    second = site.verdict(close, first.leaves)
    assert second.leaves == ((1, one), (2, two + rewards.ND_REWARD_WEI))
    site.settle(second)
    result = verify_site(site.folder, 2, site.rpc.url)
    assert result.ok and result.root == "0x" + second.root.hex() and result.leaves == dict(second.leaves)


def test_oracles_killed_midway_say_nothing_else_and_settle(site):
    site.start(1)
    close = site.record(1, {DEVICES[0]: range(4)})
    site.say(close)
    held = site.wait(lambda heard: heard)[0]
    assert held[0] == address(ORACLES[0]) and [bundle.digest for bundle in held[1].bundles] == [close.evidence]
    site.start(2)
    site.wait(lambda heard: any(isinstance(said, Signature) for _, said in heard))
    verdict = site.verdict(close)
    site.kill(1)
    site.kill(2)
    hidden = site.evidence.folder.rename(site.folder / "hidden")  # they must not need to score again
    with site.arrived:
        site.heard.clear()
    site.start(1, 2)
    site.say(close)
    assert site.settle(verdict) == {address(ORACLES[0]), address(ORACLES[1])}
    assert {type(said) for _, said in site.heard} == {Signature}
    hidden.rename(site.evidence.folder)


def test_an_oracle_does_not_sign_when_its_evidence_is_other_or_a_stranger_announces(site):
    close = site.record(1, {DEVICES[0]: range(4)})
    other = site.folder / "other"
    other.mkdir()
    for name in ("keys", "broker", "evidence"):
        shutil.copytree(site.folder / name, other / name)
    shutil.copy(site.folder / "site.toml", other)
    altered = other / "evidence" / "epoch-1.cborseq"
    altered.write_bytes(altered.read_bytes()[:-1] + b"!")
    site.start(1, 2)
    site.start(3, folder=other)
    site.say(dataclasses.replace(close, evidence=b"\xee" * 32), key=ORACLES[2])
    site.say(close, key=DEVICES[0])
    site.bus.publish(messages.TOPICS + "close", b"noise", qos=1)
    site.say(close)
    assert site.settle(site.verdict(close)) == {address(ORACLES[0]), address(ORACLES[1])}
    site.wait_log(3, "epoch 1: evidence has digest")
    assert address(ORACLES[2]) not in {who for who, said in site.heard if isinstance(said, Held | Signature)}
    assert "not a gateway" in site.log(1).read_text()


def test_a_site_that_cannot_be_served_is_refused_in_one_line(tmp_path):
    command = [*SERVICE, "--site", tmp_path, "--index", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "site.toml is missing" in done.stderr and done.stderr.count("\n") == 1


def test_an_oracle_whose_key_is_not_the_sites_is_refused_in_one_line_without_the_key(site):
    secret = b"\x07" * 32
    (site.folder / "keys" / "oracle-1.key").write_text(secret.hex())
    command = [*SERVICE, "--site", site.folder, "--index", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "wanted one of" in done.stderr and done.stderr.count("\n") == 1 and secret.hex() not in done.stderr
