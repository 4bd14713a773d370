"""Updates over the air on stock MicroPython: a Pico 2 W's stand-in, a real mosquitto, and the test as the gateway.

The real agent lies in the idle bank already, for its way over a console is a test of the console; what is fetched here
is small.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from boards.console import open_console
from device.agent import suit
from device.agent.banks import AGENT, MODEL
from device.agent.boot import RENEWED
from device.native.shared import Model
from tests.standin_stack import SPARE_BYTES, stack_left
from tests.update_boards import agent_package, small_package
from tests.update_stock import BOARD, Scene, lay

pytest.importorskip("serial", reason="the bridge is of the extra `flash`")
VIBRATION = Path(__file__).parents[2] / "models" / "vibration"
FREE_BYTES = 10 * 1024
FREE = "import gc, stock.main\ngc.collect()\nprint(gc.mem_free(), stock.main.agent.boot)"
BROKEN = {
    "def start(*words, **names):\n    return bytearray(1 << 20)\n": "error: MemoryError: ",
    "while True:\n    pass\n": "watchdog",
}
FLASHED = """
with open("tinyren.flashed", "w") as file:
    file.write("another")
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A board with the real agent, version 9.9.9, confirmed as sequence 10."""
    folder = tmp_path_factory.mktemp("stock")
    package = agent_package(folder / "sources", BOARD, "9.9.9")
    with Scene(folder, lay(package)) as scene:
        scene.gateway.hold(package)
        scene.offer(package, 10)
        scene.gateway.wait_told(AGENT, 10, "confirmed")
        yield scene


def test_an_agent_of_the_real_sources_runs_from_its_bank_and_fits(scene):
    gateway = scene.gateway
    assert gateway.versions[0].startswith("0.1.0+") and gateway.versions[-1] == "9.9.9"
    assert gateway.wants == [] and scene.ids() == {scene.device}  # what lay in the bank was not asked for
    assert stack_left(scene.emulator, BOARD) >= SPARE_BYTES


def test_an_agent_that_is_too_large_or_hangs_is_rolled_back_with_the_reason(scene):
    for number, (text, reason) in enumerate(BROKEN.items(), 11):
        scene.offer(small_package(scene, text), number)
        scene.gateway.wait_told(AGENT, number, "failed", reason)
        assert scene.gateway.versions[-1] == "9.9.9" and scene.ids() == {scene.device}


def test_what_is_not_for_the_board_is_refused(scene):
    package = small_package(scene, "raise NameError('never runs')\n")
    wants, versions = len(scene.gateway.wants), len(scene.gateway.versions)
    scene.offer(package, 20, board="qemu_mps2_an385")
    scene.offer(package, 21, abi="mpy5.0")
    scene.offer(package, 22, size=96 * 1024 + 1)
    for number, reason in ((20, "board: "), (21, "abi: "), (22, "size: ")):
        scene.gateway.wait_told(AGENT, number, "refused", reason)
    assert (len(scene.gateway.wants), len(scene.gateway.versions)) == (wants, versions)


def test_a_model_in_a_bank_is_what_heartbeats_name(scene):
    facts = json.loads((VIBRATION / "vibration.json").read_text())
    artifact = (VIBRATION / "encoder.ren").read_bytes()
    scene.gateway.hold(artifact)
    parameters = suit.encode_parameters(facts["offsets"], facts["shifts"], facts["sample_ms"])
    scene.offer(artifact, 1, MODEL, parameters=parameters)
    scene.gateway.wait_told(MODEL, 1, "confirmed")
    assert scene.gateway.models[-1] == Model(artifact).cid != scene.gateway.models[0]


def test_a_board_that_is_killed_while_it_fetches_goes_on_where_it_stood(scene):
    gateway = scene.gateway
    package, first = small_package(scene, f"raise NameError('fetched')\n_ = {'x' * 12000!r}\n"), len(gateway.wants)
    scene.offer(package, 30)
    for wants in (4, 2):
        begun, announced = len(gateway.wants), len(gateway.versions)
        gateway.wait(lambda begun=begun, wants=wants: len(gateway.wants) >= begun + wants)
        os.kill(scene.emulator._process.pid, signal.SIGKILL)
        scene.emulator.wait()
        scene.end()
        scene.begin()
        gateway.wait(lambda announced=announced: len(gateway.versions) > announced)
        assert gateway.versions[-1] == "9.9.9" and scene.ids() == {scene.device}
    gateway.wait_told(AGENT, 30, "failed", "error: NameError: fetched")
    assert gateway.wants[first:].count(0) == 1


def test_an_agent_that_is_flashed_later_goes_before_the_one_in_the_bank_and_the_device_says_so(scene):
    heard = len(scene.gateway.models)
    scene.gateway.wait(lambda: len(scene.gateway.models) > heard)  # it is in the middle of nothing
    scene.leave()
    with open_console(scene.emulator.pty) as repl:
        free, boot = map(int, repl.exec(FREE).split())
        repl.exec(FLASHED)
    assert free >= FREE_BYTES and boot > 1
    scene.emulator.stop()
    scene.begin()
    scene.gateway.wait_told(AGENT, 10, "failed", RENEWED)
    scene.gateway.wait(lambda: scene.gateway.versions[-1].startswith("0.1.0+"))
    assert scene.ids() == {scene.device}
