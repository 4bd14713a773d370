"""Oracles as processes on a real broker and chain: they settle, survive kill -9, and do not sign other evidence."""

import contextlib
import dataclasses
import shutil
import subprocess

import pytest

from device.agent import eip712
from gateway import curve
from gateway.chain.chain import Contract, address_of
from gateway.oracle import bundles, epoch, messages, rewards
from gateway.oracle.rpc import ChainReader
from gateway.oracle.statements import Bundle, Decision, Held, Signature
from gateway.settlement.agreed import Agreeing
from gateway.storage.embedded import Embedded
from gateway.verify.site import verify_site
from tests.oracle_site import DEVICES, FOUR, GATEWAY, ORACLES, ROOT, SERVICE, WAIT_S, Site, address

APPOINTMENT = b"Oracles(uint256 number,address[] oracles,uint256 threshold)"


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
    assert first.leaves.deeds == ((1, one), (2, two)) and first.minted == first.total == one + two

    def signed(heard):
        return {who: said.root for who, said in heard if isinstance(said, Signature)}

    roots = signed(site.wait(lambda heard: len(signed(heard)) == 3))
    assert set(roots) == set(map(address, ORACLES)) and set(roots.values()) == {first.attested()}
    assert len(site.settle(first)) == 2
    close = site.record(2, {DEVICES[2]: range(4)})
    site.say(close)
    second = site.verdict(close, first.leaves)
    assert second.leaves.deeds == ((1, one), (2, two + rewards.ND_REWARD_WEI))
    site.settle(second)
    result = verify_site(site.folder, 2, site.rpc.url)
    assert result.ok and result.root == "0x" + second.root.hex() and result.leaves == dict(second.leaves.deeds)


def test_oracles_killed_midway_say_nothing_else_and_settle(site):
    site.start(1)
    close = site.record(1, {DEVICES[0]: range(4)})
    site.say(close)
    held = site.wait(lambda heard: heard)[0]
    assert held[0] == address(ORACLES[0]) and [bundle.digest for bundle in held[1].bundles] == [close.evidence]
    site.start(2)
    site.wait(lambda heard: len({who for who, said in heard if isinstance(said, Signature)}) == 2)
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


@pytest.mark.parametrize("has_cid", [False, True], ids=["one folder", "R1FS"])
def test_of_four_oracles_one_may_be_away_and_windows_not_committed_count_for_nobody(tmp_path, has_cid):
    site = Site(tmp_path, FOUR)
    try:
        site.start(1, 2, 4)
        close = site.record(1, {DEVICES[0]: range(4)}, commits=(0, 1, 3))
        digest, block = close.evidence, close.block
        if has_cid:
            word = messages.seal(close, site.place, GATEWAY.secret)
            with contextlib.closing(Embedded(tmp_path / "r1fs")) as r1fs:
                close = dataclasses.replace(close, cid=r1fs.add(bundles.pack(site.evidence.folder, 1, word)).cid)
            site.evidence.folder.rename(tmp_path / "hidden")
        site.closed = close
        site.say(close)
        signed = site.wait(lambda heard: len({who for who, said in heard if isinstance(said, Signature)}) == 3)
        views = [said.bundles for _, said in signed if isinstance(said, Held)]
        assert {view[0].whole() for view in views} == {Bundle(address(GATEWAY), digest, block, close.cid)}
        roots = {said.root for _, said in signed if isinstance(said, Signature)}
        assert len(roots) == 1 and roots.pop().evidence == digest
    finally:
        site.stop()


def test_a_window_whose_block_a_reorg_took_counts_for_nobody_and_its_epoch_is_settled(site):
    site.start(1, 2, 3)
    close = site.record(1, {DEVICES[0]: range(4), DEVICES[2]: [1]}, lost=[1])
    site.say(close)
    decision = next(said for _, said in site.wait(lambda heard: any(isinstance(said, Decision) for _, said in heard))
                    if isinstance(said, Decision))  # fmt: skip
    agreeing = Agreeing(site.evidence.folder, list(map(address, ORACLES)), site.place, {}.__getitem__)
    agreeing.take(1, decision)
    says = {said.root.evidence for _, said in site.wait(lambda heard: signatures(heard)) if isinstance(said, Signature)}
    (attested,) = says
    assert attested != close.evidence and agreeing.is_here(1, attested)
    verdict = site.verdict(close, attested=attested)
    assert [verdict.availability[address(key)] for key in DEVICES] == [255 * 3 // 4, 0, 0]
    site.settle(verdict)
    result = verify_site(site.folder, 1, site.rpc.url)
    assert result.ok and result.root == "0x" + verdict.root.hex()


def signatures(heard):
    return [said for _, said in heard if isinstance(said, Signature)]


def rotate(site, keys, threshold):
    """Two of the three oracles appoint others."""
    members = curve.keccak(b"".join(bytes(12) + address(key) for key in keys))
    struct = eip712.hash_struct(curve.keccak, APPOINTMENT, 2, members, threshold)
    domain = eip712.hash_domain(curve.keccak, epoch.ROOT_NAME, site.place.chain_id, site.place.settlement)
    digest = eip712.digest(curve.keccak, domain, struct)
    signers = sorted(ORACLES[:2], key=address)
    signatures = [epoch.sign_digest(digest, key) for key in signers]
    contract = Contract("Settlement", site.contracts.contracts.settlement)
    site.chain.send(contract, "rotate", [address_of(key) for key in keys], threshold, signatures, key=GATEWAY)


def test_who_the_oracles_are_is_the_contracts_word(site):
    reader = ChainReader(site.rpc.url, site.place.settlement, bytes(20))
    assert reader.oracles() == (1, tuple(map(address, ORACLES)), 2)
    site.start(1, 2)
    site.say(site.record(1, {DEVICES[0]: range(4)}))
    site.wait(lambda heard: any(who == address(ORACLES[0]) and isinstance(said, Signature) for who, said in heard))
    signed = {path.read_text() for path in site.folder.glob("oracles/1/oracles-1/choice.json")}
    rotate(site, FOUR[1:], 2)
    assert reader.oracles() == (2, tuple(map(address, FOUR[1:])), 2)
    codes = [site.processes[index].wait(WAIT_S) for index in (1, 2)]
    assert codes == [3, 3] and "others were appointed" in site.log(1).read_text()
    assert {path.read_text() for path in site.folder.glob("oracles/1/oracles-1/choice.json")} == signed
    again = subprocess.run([*SERVICE, "--site", site.folder, "--index", "1"], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 2 and "wanted one of" in again.stderr
    site.start(2)
    assert not (site.folder / "oracles" / "2" / "oracles-2").exists()


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
