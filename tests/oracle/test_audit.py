"""An epoch rebuilt from a chain and R1FS alone: by peers, by CAR files, and against lies that fit the interface."""

import contextlib
import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.audit import evidence as audit_evidence
from gateway.audit.audit import Asked, audit, find
from gateway.audit.evidence import NotHad, fetch, lend
from gateway.chain.chain import ChainError, address_of
from gateway.errors import Exit
from gateway.intake import evidence
from gateway.oracle import epoch as epochs
from gateway.oracle.rewards import epoch_reward
from gateway.settlement.settlement import Claim
from gateway.settlement.tree import Leaves, root_of
from gateway.storage.cid import DAG_PB, RAW, cid_from, encode_text
from gateway.storage.embedded import Embedded
from gateway.storage.peers import HttpPeer
from gateway.storage.unixfs import CHUNK_BYTES
from tests.oracle_site import DEVICES, GATEWAY, ORACLES, Site, address
from tests.r1fs_site import served
from tests.settlement.test_settler import Stand


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site"))
    made.record(1, {DEVICES[0]: range(4), DEVICES[1]: [0, 2]})
    made.record(2, {DEVICES[0]: range(4), DEVICES[2]: range(3)})
    Stand(made).settle(1, 2)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def lender(site):
    """The site's R1FS after `tinyren evidence lend`, behind HTTP."""
    with contextlib.closing(Embedded(site.folder / "r1fs")) as store:
        for number in (1, 2):
            lend(store, site.folder / "evidence", number)
        with served(store) as url:
            yield url


def contracts(site):
    made = site.contracts.contracts
    return ["--settlement", made.settlement, "--devices", made.devices]


def run(capsys, site, *more, epoch=2):
    code = cli.main(["audit", "--epoch", str(epoch), "--rpc", site.rpc.url, *contracts(site), *map(str, more)])
    return code, capsys.readouterr()


def attested(site, number):
    return site.contracts.roots()[number - 1].evidence


def test_an_epoch_is_rebuilt_from_the_chain_and_a_peer(site, lender, capsys):
    code, said = run(capsys, site, "--r1fs", lender, "--json")
    result = json.loads(said.out)
    assert (code, result["ok"], result["recomputed"]) == (Exit.OK, True, [1, 2])
    leaves = {1: epoch_reward(255 + 127, 4) + epoch_reward(255, 4), 2: epoch_reward(191, 1)}
    assert result["leaves"] == [[deed, str(wei)] for deed, wei in leaves.items()]
    assert result["root"] == "0x" + site.contracts.roots()[1].root.hex()
    code, said = run(capsys, site, "--r1fs", lender)
    assert code == Exit.OK and said.out.splitlines()[-1].startswith("RESULT: OK")


def test_car_files_do_as_well(site, tmp_path, capsys):
    files = []
    for number in (1, 2):
        out = tmp_path / f"epoch-{number}.car"
        lending = ["evidence", "lend", "--site", str(site.folder), "--epoch", str(number), "-o", str(out), "--json"]
        assert cli.main(lending) == Exit.OK
        told = json.loads(capsys.readouterr().out)
        assert told["list"] == encode_text(cid_from(attested(site, number), RAW))
        files += ["--car", out]
    assert run(capsys, site, *files)[0] == Exit.OK
    code, said = run(capsys, site, *files[2:])
    assert (code, said.out) == (Exit.FAILED, "") and "epoch 1: evidence bafkrei" in said.err and "--car" in said.err


@pytest.mark.parametrize(
    ("more", "epoch", "code", "words"),
    [
        ([], 2, Exit.FAILED, "name a peer by --r1fs"),
        (["--r1fs", "http://127.0.0.1:1"], 1, Exit.FAILED, "epoch 1: evidence"),
        (["--r1fs", "ftp://x"], 1, Exit.USAGE, "peer: got 'ftp://x'"),
        (["--car", __file__], 1, Exit.USAGE, "r1fs: "),
        ([], 3, Exit.NOTHING_TO_DO, "epoch 3 is not settled on chain; wanted 1 to 2"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(site, capsys, more, epoch, code, words):
    got, said = run(capsys, site, *more, epoch=epoch)
    assert (got, said.out, said.err.count("\n")) == (code, "", 1) and words in said.err


def test_contracts_that_do_not_belong_together_are_refused(site, capsys):
    made = site.contracts.contracts
    deeds, _ = site.chain.deploy("NodeDeed", address_of(GATEWAY), key=GATEWAY)
    others, _ = site.chain.deploy("Devices", deeds.address, 0, key=GATEWAY)
    for asked, words in (
        (Asked("0x" + "11" * 20, made.devices), "settlement: no contract at"),
        (Asked(made.settlement, "0x" + "11" * 20), "devices: no contract at"),
        (Asked(made.settlement, made.r1), "deeds"),
        (Asked(made.settlement, others.address), "devices: .* is over deeds 0x"),
    ):
        with pytest.raises(ChainError, match=words):
            find(site.chain, asked)
    with pytest.raises(SystemExit):
        cli.main(["audit", "--epoch", "1", "--rpc", site.rpc.url, "--settlement", "0x1", "--devices", made.devices])
    assert "wanted an address" in capsys.readouterr().err


def test_a_root_that_the_evidence_does_not_give_is_found_although_a_quorum_signed_it(tmp_path, capsys):
    liars = Site(tmp_path)
    try:
        close = liars.record(1, {DEVICES[0]: range(4)})
        verdict = liars.verdict(close)
        leaves = Leaves(deeds=tuple((deed, wei + 7) for deed, wei in verdict.leaves.deeds))
        root, total = root_of(leaves), leaves.total_wei
        said = epochs.Root(1, root, total, close.evidence)
        digest = epochs.root_digest(said, liars.place.chain_id, liars.place.settlement)
        signed = {"0x" + address(key).hex(): epochs.sign_digest(digest, key) for key in ORACLES[:2]}
        liars.contracts.post_root(1, root, total, close.evidence, signed)
        with contextlib.closing(Embedded(tmp_path / "r1fs")) as store:
            lend(store, tmp_path / "evidence", 1)
            with served(store) as url:
                code, told = run(capsys, liars, "--r1fs", url, "--json", epoch=1)
    finally:
        liars.stop()
    result = json.loads(told.out)
    assert (code, result["ok"]) == (Exit.TRUST, False) and result["chain_root"] == "0x" + root.hex()
    assert result["root"] == "0x" + verdict.root.hex()
    assert any(f"were signed {total}" in text or f"signed were {total}" in text for text in result["findings"])


def test_a_deed_that_was_paid_more_than_its_leaf_is_found_but_not_what_came_meanwhile(
    site, lender, tmp_path, monkeypatch
):
    made = site.contracts.contracts
    settlement, now = find(site.chain, Asked(made.settlement, made.devices)), site.chain.block_number()
    for extra, block, count in ((0, now, 0), (1, now, 1), (1, now + 1, 0)):

        def claims(first=0, last=None, extra=extra, block=block):
            is_paid = extra and (last is None or block <= last)
            return site.contracts.claims(first, last) + [Claim(2, "0x" + "11" * 20, extra, "0x")] * is_paid

        monkeypatch.setattr(settlement, "claims", claims)
        folder = tmp_path / f"{extra}-{block}"
        with contextlib.closing(Embedded(tmp_path / f"r1fs-{folder.name}", [HttpPeer(lender)])) as store:
            result = audit(settlement, 2, store, [], folder)
        assert sum("deed 2: it was paid" in text for text in result.findings) == count
        assert result.ok is (count == 0)


def test_lending_twice_keeps_the_same_and_nothing_twice(site, tmp_path):
    with contextlib.closing(Embedded(tmp_path)) as store:
        first = lend(store, site.folder / "evidence", 1)
        kept = store.pins(), store.check().blocks
        assert lend(store, site.folder / "evidence", 1) == first and (store.pins(), store.check().blocks) == kept
        assert [pin.cid for pin in store.pins()] == [first] and store.collect().cids == []


@pytest.fixture
def large(tmp_path):
    """Evidence whose heartbeats are more than a block holds: (folder, its digest)."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    heartbeats, windows = audit_evidence.paths(folder, 5)
    heartbeats.write_bytes(hashlib.shake_128(b"large").digest(CHUNK_BYTES + 1))
    windows.write_bytes(b"windows")
    return folder, evidence.digest(folder, 5)


def test_evidence_of_several_chunks_is_found_by_its_folder_and_not_without(large, tmp_path):
    folder, digest = large
    with contextlib.closing(Embedded(tmp_path / "a")) as store, served(store) as url:
        index = lend(store, folder, 5)
        assert [pin.cid for pin in store.pins()] == [index]
        with contextlib.closing(Embedded(tmp_path / "b", [HttpPeer(url)])) as other:
            with pytest.raises(NotHad, match="epoch 5"):
                fetch(other, 5, digest, [], tmp_path / "out")
            assert not (tmp_path / "out").exists()
            fetch(other, 5, digest, [index], tmp_path / "out")
    assert evidence.digest(tmp_path / "out", 5) == digest


def test_a_folder_that_leads_elsewhere_brings_nothing(large, tmp_path):
    folder, digest = large
    with contextlib.closing(Embedded(tmp_path / "a")) as store:
        lend(store, folder, 5)
        names = [path.name for path in audit_evidence.paths(folder, 5)]
        for tree in (
            [(names[0], [b"other"]), (names[1], [b"windows"])],
            [(names[0], None), (names[1], [b"windows"])],
            [("epoch-4.cborseq", [audit_evidence.paths(folder, 5)[0].read_bytes()])],
        ):
            index = store.add_tree(tree)[-1][1].cid
            with pytest.raises(NotHad):
                fetch(store, 5, digest, [index, store.put_block(b"no folder")], tmp_path / "out")
            assert not (tmp_path / "out").exists()


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(listed=st.binary(max_size=80), node=st.binary(max_size=40))
def test_foreign_blocks_are_refused_and_nothing_is_written(tmp_path, listed, node):
    with contextlib.closing(Embedded(tmp_path / "store")) as store:
        digest = hashlib.sha256(listed).digest()
        store.put_block(listed)
        index = store.put_block(node, DAG_PB)
        with pytest.raises(NotHad):
            fetch(store, 1, digest, [index], tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [3, 9])
def test_an_epoch_that_is_not_closed_is_not_lent(site, tmp_path, capsys, number):
    before = sorted(path.name for path in (site.folder / "r1fs").rglob("*")) if number == 3 else None
    code = cli.main(["evidence", "lend", "--site", str(site.folder), "--epoch", str(number)])
    assert code in (Exit.REFUSED, Exit.FAILED) and capsys.readouterr().out == ""
    assert before is None or sorted(path.name for path in (site.folder / "r1fs").rglob("*")) == before
