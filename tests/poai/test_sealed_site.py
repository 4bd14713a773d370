"""Sealed work on a real site: a board works for one buyer, a process lies to it, and the buyer finds out.

Both take the buyer's key with a model's manifest, signed by the update key that their owners trust.
"""

import json
import time

import pytest
from coincurve import PrivateKey

from device.agent.port import FileMemory
from device.agent.store import Store
from device.native.shared import Model
from gateway import curve, keys
from gateway.errors import Exit
from gateway.intake import evidence
from gateway.poai import private
from gateway.settlement import ledger
from gateway.settlement.escrow import Escrow
from tests.agent_bench import ARTIFACT
from tests.bound_devices import IDS, OWNER, bind
from tests.deeploy_boards import apply_and_wait
from tests.poai.test_work import Process, store_of
from tests.site.test_up import on_chain
from tests.up_site import ROOT, WAIT_S, Up, tinyren

BOARD = "qemu_virt_rv32"
TIMES = ["--epoch-seconds", "18", "--window-seconds", "2"]
SEALED_EPOCH = 3
BUYER = PrivateKey.from_int(7)
KEY = BUYER.public_key.format()
LIAR = IDS[0]
JOB = f"""
name = "for-one-buyer"
[model]
file = "{ROOT / "models" / "host" / "encoder.ren"}"
[report]
reader = "{KEY.hex()}"
[rollout]
steps = ["100%"]
"""


def audit(folder, *options):
    return tinyren("buyer", "audit", "--site", folder, "--key", folder.parent / "buyer.key", *options)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site in whose second epoch devices learn of their reader, so that in the third, for which a job is open,
    everything is sealed.
    """
    folder = tmp_path_factory.mktemp("sealed") / "site"
    (folder / "keys").mkdir(parents=True, mode=0o700)
    (folder / "keys" / "owner-2.key").write_text(OWNER.to_hex().rjust(64, "0"))
    (folder.parent / "buyer.key").write_text(BUYER.to_hex().rjust(64, "0"))
    made = Up(folder, "--boards", BOARD, "--epochs", "1", *TIMES)
    assert made.finish()[0] == 0, made.lines
    bind(folder, [store_of(folder, "lying")])
    tell_owner(store_of(folder, "lying"))
    settlement, chain = on_chain(folder)
    model = private.sealed_model(Model(ARTIFACT).cid, KEY)
    assert Escrow(chain, settlement.contracts.escrow).open(
        model[4:], 10**14, 10**17, 9, [], keys.load(folder / "keys" / "owner-1.key")
    )
    chain.close()
    up = Up(folder, "--epochs", "2")
    up.wait_line("boards start")
    liar = Process(up, "lying")
    try:
        code, status, said = apply_and_wait(up, JOB)
        assert code == Exit.OK and status["counts"] == {"done": 2}, [row["reason"] for row in status["devices"]]
        yield up
    finally:
        up.process.terminate()
        up.finish()
        liar.end()


def tell_owner(path):
    """Have a store hold the owner, as a device's does that answered a bind message."""
    memory = FileMemory(path)
    store = Store(memory)
    store.open(lambda: bytes(32))
    store.bind(curve.address_of(OWNER.secret))
    memory.close()


def until(found, is_so):
    """The first of `found()` that is so."""
    end = time.monotonic() + WAIT_S
    while not is_so(value := found()):
        assert time.monotonic() < end, value
        time.sleep(0.5)
    return value


@pytest.fixture(scope="module")
def audited(site):
    """What the buyer's audit of the third epoch said, once it had opened answers of both."""

    def found():
        if evidence.last_epoch(site.folder / "evidence") < SEALED_EPOCH:
            return {"answers": []}
        told = audit(site.folder, "--json", "--publish", "--out", site.folder.parent / "proofs")
        return json.loads(told.stdout) | {"code": told.returncode}

    return until(found, lambda told: {row["outcome"] for row in told["answers"]} == {"right", "fraud"})


def test_the_buyer_finds_the_board_right_and_the_liar_wrong_and_its_proof_convinces_anyone(site, audited):
    wrong = {row["device"].lower() for row in audited["answers"] if row["outcome"] == "fraud"}
    right = {row["device"].lower() for row in audited["answers"] if row["outcome"] == "right"}
    assert audited["code"] == Exit.TRUST and wrong == {f"0x{LIAR.hex()}"} and len(right) == 1 and not wrong & right
    checked = tinyren("buyer", "check", audited["proofs"][0])
    assert checked.returncode == 0 and "the model gives another output for its window" in checked.stdout


def test_the_gateway_stores_no_window_that_it_could_read(site, audited):
    items = evidence.read(evidence.heartbeats_path(site.folder / "evidence", SEALED_EPOCH))
    sealed = [frame for _, frame in items if len(frame) > private.OPENING_MAX_BYTES]
    assert sealed and all(private.read_sealed(0, frame)[0].reader == KEY for frame in sealed)


def test_the_job_pays_the_board_and_the_liars_deed_earns_nothing(site, audited):
    code, _ = site.finish()
    assert code == 0, site.lines
    settled = ledger.read(site.folder / "settlement", SEALED_EPOCH)
    (((_, job, deed), units),) = settled.leaves.work
    assert (job, deed) == (1, 1) and units > 0
    assert settled.frauds == (LIAR,)
    verified = tinyren("verify", site.folder, "--epoch", SEALED_EPOCH)
    assert verified.returncode == 0, verified.stdout
    told = tinyren("work", "--site", site.folder, "--epoch", SEALED_EPOCH)
    assert told.returncode == Exit.TRUST and "sealed to" in told.stdout
