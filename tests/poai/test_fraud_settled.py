"""A bound device signs what its model does not give: settled, its deed has earned nothing and everybody is told."""

import hashlib
import json

import pytest

from device.agent import reveal, wire
from gateway import cli
from gateway.errors import Exit
from gateway.intake import evidence
from gateway.oracle.rewards import epoch_reward
from gateway.oracle.statements import Close
from gateway.poai.models import shipped
from gateway.settlement import ledger
from gateway.site.settling import tell
from tests.oracle_site import DEVICES, OPENED_MS, WINDOW_MS, WINDOWS, Site, address, sign, text
from tests.settlement.test_settler import Stand

HONEST, LIAR = DEVICES[0], DEVICES[2]
MODEL = next(cid for cid, sizes in shipped().sizes.items() if sizes == (128, 16))
INPUT = bytes(range(128))


def record(site):
    """Evidence of epoch 1: devices of two deeds do and show an inference a window; one makes its outputs up."""
    chains, shown = {}, []
    site.evidence.open_epoch(1, WINDOWS, WINDOW_MS, OPENED_MS)
    for window in range(WINDOWS):
        block, at_ms = site.chain.mine(), OPENED_MS + window * WINDOW_MS
        site.chain.mine()  # this one draws
        block_hash = site.chain.block_hash(block)
        beacon = wire.make_beacon(1, window, block_hash)
        site.evidence.open_window(evidence.Window(window, at_ms, block, block_hash, beacon))
        site.evidence.append([(at_ms + 5, frame) for frame in shown])
        shown = []
        for key in (HONEST, LIAR):
            output = shipped().runs[MODEL](INPUT) if key is HONEST else bytes([window]) * 16
            before, number = chains.get(key, bytes(16)), window + 1
            chain = chains[key] = hashlib.sha256(before + output).digest()[:16]
            who = address(key), sign(key)
            beat = wire.sign_heartbeat(*who, beacon, 1, number, MODEL, number, chain, 23)
            site.evidence.append([(at_ms + 10, beat)])
            shown.append(reveal.sign_reveal(*who, 1, number, number, number, INPUT, output, before))
    close = site.chain.mine()
    site.evidence.close_epoch(OPENED_MS + WINDOWS * WINDOW_MS, close)
    site.closed = Close(1, evidence.digest(site.evidence.folder, 1), close)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site"))
    record(made)
    Stand(made).settle(1)
    yield made
    made.stop()


def run(capsys, site, *arguments):
    code = cli.main([*map(str, arguments), "--rpc", site.rpc.url])
    return code, capsys.readouterr().out


def test_the_deed_of_the_liar_earned_nothing_and_the_other_what_it_would_have(site):
    settled = ledger.read(site.folder / "settlement", 1)
    assert settled.leaves.deeds == ((1, epoch_reward(255, 4)), (2, 0)) and settled.leaves.work == ()
    assert settled.frauds == (address(LIAR),) and dict(settled.units) == {address(HONEST): WINDOWS - 1}
    assert settled.availability[address(LIAR)] == 255
    ((line, fields),) = [(line, fields) for line, event, fields in tell(settled, []) if event == "fraud"]
    assert line.lower().startswith(f"fraud {text(LIAR)} ") and fields["device"].lower() == text(LIAR)


def test_explain_work_and_verify_say_so_and_what_to_do(site, capsys):
    code, said = run(capsys, site, "earnings", "explain", 2, "--epoch", 1, "--site", site.folder)
    words = " ".join(said.split()).lower()
    assert code == Exit.OK and f"fraud {text(LIAR)}: the deed earns nothing" in words
    assert "challenge fraud: the model gives another output" in words and "install its firmware anew" in words
    code, said = run(capsys, site, "earnings", "explain", 2, "--epoch", 1, "--site", site.folder, "--json")
    told = json.loads(said)
    assert (told["earned_wei"], told["availability_sum"], len(told["frauds"])) == ("0", 255, 1)

    code, said = run(capsys, site, "work", "--epoch", 1, "--site", site.folder)
    assert code == Exit.TRUST and f"fraud {text(LIAR)}" in said.lower()
    code, said = run(capsys, site, "verify", site.folder, "--epoch", 1)
    assert code == Exit.OK and f"fraud {text(LIAR)} signed what is not so" in said.lower()
