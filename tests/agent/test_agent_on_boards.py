"""The agent on the emulated boards: its vectors and checks under MicroPython, and the heap that it needs."""

import ast
import json
from pathlib import Path

import pytest
from mpremote.transport_serial import SerialTransport

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator
from tests.broker_link import Broker

TESTS = Path(__file__).parents[1]
BOARDS = ("qemu_mps2_an385", "qemu_virt_rv32")  # an instruction set each; an500 runs the same port as an385
HEAP_BUDGET_BYTES = 25 * 1024  # 24 KiB as the bench measures it; here a heartbeat waits, and this program's names count
VECTORS_A_RUN = 20
LONG_VECTORS_A_RUN = 5

# What earlier code left in the REPL's names is not the agent's.
FORGET = "for name in [name for name in globals() if name[0] != '_']: del globals()[name]"

# As main, after FORGET, but with a loop that ends: it connects, answers a beacon, and garbage goes.
RUN_AGENT = """
import gc, sys
import _tinyren, core
from agent import wire
from agent.run import start, step
regions = core.open_regions()
boot = core.open_boot(regions)
model, *wants = core.open_model(boot)
kept = {"boot": boot, "ring": regions["ring"], "journal": core.open_journal(), "receipts": core.open_receipts()}
agent = start(_tinyren, regions["store"], core.open_source(), model, *wants, **kept)
del core, kept, regions
for opened in ("core", "board", "host_model"):
    del sys.modules[opened]
buffer = bytearray(256)
while agent.client.sessions == 0:
    _tinyren.idle(step(agent, _tinyren, buffer))
agent.receive(b"tinyren/beacon", wire.encode_beacon(wire.make_beacon(1, 1, bytes(32)), 5000), _tinyren.ticks_ms())
while agent.counts["resent"] == 0:
    _tinyren.idle(step(agent, _tinyren, buffer))
gc.collect()
print(gc.mem_alloc() - model.arena_bytes, agent.sequence, agent.counts["refused"])
"""


@pytest.fixture(scope="module", params=BOARDS)
def repl(request, tmp_path_factory):
    """The REPL of a board whose agent was interrupted, its link plugged into a real broker."""
    folder = tmp_path_factory.mktemp(request.param)
    board = load_board(request.param)
    broker = Broker(folder).start()
    firmware = build(board, lambda *_: None)
    with Emulator(board, firmware.elf, folder / "board", link=("127.0.0.1", broker.port)) as emulator:
        repl = SerialTransport(emulator.pty)
        repl.enter_raw_repl(soft_reset=False, timeout_overall=30)
        yield repl
        repl.serial.close()
    broker.stop()


def run(repl, code):
    printed, raised = repl.exec_raw(code, timeout=60)
    assert not raised, raised.decode()
    return printed.decode().strip()


def test_the_agents_checks_pass_on_the_board(repl):
    vectors = json.loads((TESTS / "vectors" / "wire.json").read_text())
    check = (TESTS / "device_check.py").read_text()
    names = [("valid", vector) for vector in vectors["valid"]] + [("invalid", vector) for vector in vectors["invalid"]]

    for at in range(0, len(names), VECTORS_A_RUN):  # a part each time: the board's heap does not hold them all
        part = {"valid": [], "invalid": []}
        for kind, vector in names[at : at + VECTORS_A_RUN]:
            part[kind].append(vector)
        assert run(repl, f"VECTORS = {json.dumps(part)!r}\n{check}") == "ok"


def test_edils_messages_and_keys_on_the_board_are_those_of_the_vectors(repl):
    vectors = json.loads((TESTS / "vectors" / "edil_messages.json").read_text())
    check = (TESTS / "device_check_edil.py").read_text()
    valid, invalid = vectors.pop("valid"), vectors.pop("invalid")
    vectors["signature"], vectors["manifest"] = valid[0]["fields"]["signature"], valid[2]["digest"]

    for at in range(0, max(len(valid), len(invalid)), LONG_VECTORS_A_RUN):
        part = {"valid": valid[at : at + LONG_VECTORS_A_RUN], "invalid": invalid[at : at + LONG_VECTORS_A_RUN]}
        assert run(repl, f"{FORGET}\nVECTORS = {json.dumps(part)!r}\n{check}") == "ok"
    part = {"valid": [], "invalid": [], **vectors}
    assert run(repl, f"{FORGET}\nVECTORS = {json.dumps(part)!r}\n{check}") == "ok"


@pytest.mark.parametrize("name", BOARDS)
def test_all_that_lives_on_the_heap_of_a_running_agent_is_within_its_budget(name, tmp_path):
    board, broker = load_board(name), Broker(tmp_path).start()
    firmware, link = build(board, lambda *_: None), ("127.0.0.1", broker.port)
    try:
        with Emulator(board, firmware.elf, tmp_path / "board", link=link) as emulator:
            printed = emulator.exec(f"{FORGET}\n{RUN_AGENT}")
    finally:
        broker.stop()

    used, sequence, refused = (ast.literal_eval(word) for word in printed.split())
    assert (sequence, refused) == (1, 0)
    assert used <= HEAP_BUDGET_BYTES
