"""Updates on the three emulated boards at once: real firmware, a real mosquitto, and the test as the gateway."""

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from boards.board import DEFAULT_BOARDS
from device.agent import suit
from device.agent.banks import AGENT, MODEL
from device.native.shared import Model
from tests.update_bench import STRANGER, manifest
from tests.update_boards import Scene, small_package

VIBRATION = Path(__file__).parents[2] / "models" / "vibration"
KILLED_AFTER = (0, 1, 3, 6)  # so many wants more
MODEL_HEAP = """
import core, gc
gc.collect()
before = gc.mem_alloc()
another = core.open_model(boot)[0]
gc.collect()
print(gc.mem_alloc() - before - another.arena_bytes)
"""
BROKEN = {
    "raise NameError('broken')\n": "error: NameError: broken",
    "import sys\nsys.exit()\n": "error: SystemExit",
    "def start(*words, **names):\n    return 1 // 0\n": "error: ZeroDivisionError: divide by zero",
    "while True:\n    pass\n": "watchdog",
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    with ExitStack() as stack:
        yield [stack.enter_context(Scene(name, tmp_path_factory.mktemp(name))) for name in DEFAULT_BOARDS]


@pytest.fixture(scope="module")
def updated(scenes):
    """The boards, on an agent from the real sources with another version, sequence 10."""
    for scene in scenes:
        scene.offer(scene.package(), 10)
    for scene in scenes:
        scene.gateway.wait_told(AGENT, 10, "confirmed")
    return scenes


def test_an_agent_of_the_real_sources_is_installed_runs_and_is_confirmed(updated):
    for scene in updated:
        versions, ids = scene.gateway.versions, scene.ids()
        assert versions[0].startswith("0.1.0+") and versions[-1] == "9.9.9"
        assert ids == {scene.device}  # the key is what it was


def test_an_agent_that_crashes_or_hangs_is_rolled_back_with_the_reason(updated):
    for number, (text, reason) in enumerate(BROKEN.items(), 11):
        for scene in updated:
            scene.offer(small_package(scene, text), number)
        for scene in updated:
            scene.gateway.wait_told(AGENT, number, "failed", reason)
            assert scene.gateway.versions[-1] == "9.9.9"


def test_what_is_not_for_the_board_or_not_signed_is_refused_and_nothing_changes(updated):
    for scene in updated:
        package = small_package(scene, "raise NameError('never runs')\n")
        versions = len(scene.gateway.versions)
        scene.offer(package, 20, board="board_b")
        scene.offer(package, 21, abi="mpy5.0")
        scene.offer(package, 22, needs=99)
        scene.offer(package, 23, key=STRANGER)
        scene.offer(package, 9)
        for number, reason in ((20, "board: "), (21, "abi: "), (22, "needs: "), (23, "key: "), (9, "sequence: ")):
            scene.gateway.wait_told(AGENT, number, "refused", reason)
        wants = len(scene.gateway.wants)
        signed = manifest(package, 24, AGENT, board=scene.name, abi="mpy6.3")
        scene.gateway.send(scene.device, "manifest", signed[:-1] + bytes([signed[-1] ^ 1]))
        scene.gateway.wait_told(AGENT, 24, "refused", "signature: ")
        assert len(scene.gateway.wants) == wants and len(scene.gateway.versions) == versions


def test_an_artifact_with_a_flipped_bit_is_not_run(updated):
    for scene in updated:
        package = small_package(scene, "raise NameError('flipped')\n")
        (start,) = [name for name, content in scene.gateway.artifacts.items() if content == package]
        scene.gateway.artifacts[start] = package[:-1] + bytes([package[-1] ^ 1])
        scene.offer(package, 30)
    for scene in updated:
        scene.gateway.wait_told(AGENT, 30, "refused", "digest: ")
        assert "flipped" not in scene.console()


def kill_after(scene, wants):
    """Kill QEMU after so many wants more, or when the update is done; wait for the next announce."""
    gateway = scene.gateway
    begun, announced = len(gateway.wants), len(gateway.versions)
    gateway.wait(lambda: len(gateway.wants) >= begun + wants or (AGENT, 40, "confirmed", "") in gateway.told)
    os.kill(scene.emulator._process.pid, signal.SIGKILL)
    scene.emulator.wait()
    scene.emulator.restart()
    gateway.wait(lambda: len(gateway.versions) > announced)


def test_a_killed_emulator_boots_to_the_old_or_the_new_agent_and_the_update_goes_on(updated):
    for scene in updated[::2]:  # EEPROM, and flash
        scene.offer(scene.package(version="8.8.8"), 40)
    for wants in KILLED_AFTER:
        for scene in updated[::2]:
            kill_after(scene, wants)
            assert scene.gateway.versions[-1] in ("9.9.9", "8.8.8")
            assert scene.ids() == {scene.device}
    for scene in updated[::2]:
        scene.gateway.wait_told(AGENT, 40, "confirmed")
        assert scene.gateway.versions[-1] == "8.8.8"


def test_a_model_in_a_bank_is_what_heartbeats_name_and_takes_no_heap(updated):
    facts = json.loads((VIBRATION / "vibration.json").read_text())
    artifact = (VIBRATION / "encoder.ren").read_bytes()
    parameters = suit.encode_parameters(facts["offsets"], facts["shifts"], facts["sample_ms"])
    for scene in updated:
        scene.gateway.hold(artifact)
        scene.offer(artifact, 1, MODEL, parameters=parameters)
    for scene in updated:
        scene.gateway.wait_told(MODEL, 1, "confirmed")
        assert scene.gateway.models[-1] == Model(artifact).cid != scene.gateway.models[0]
        assert abs(int(scene.emulator.exec(MODEL_HEAP))) < 512
