"""The agent and the kernels on aarch64, under qemu-aarch64: the same bytes as on this machine, the same protocol."""

import subprocess
from pathlib import Path

import pytest

from device.native.shared import Model
from models.inputs import make_inputs
from tests.aarch64 import ROOT, Unavailable, find_python
from tests.agent.test_sbc import Site, announced
from tests.agent_bench import heartbeat

INPUTS = 200
ENCODERS = sorted(path.parent.name for path in (ROOT / "models").glob("*/encoder.ren"))

# The inputs come over stdin: numpy and tflite, which models/ imports, are not on the emulated side.
PROGRAM = """
import platform, sys
from pathlib import Path
from device.native.shared import Model
model = Model(Path(sys.argv[1]).read_bytes())
out = bytearray(model.output_bytes)
print(platform.machine())
while window := sys.stdin.buffer.read(model.input_bytes):
    model.run(window, out)
    print(out.hex())
"""


@pytest.fixture(scope="module")
def python():
    try:
        return find_python()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ENCODERS)
def test_the_kernels_give_this_machines_bytes(name, python):
    command, environment = python
    path = ROOT / "models" / name / "encoder.ren"
    model = Model(Path(path).read_bytes())
    windows, wanted, out = list(make_inputs(model.input_bytes, 5, INPUTS)), [], bytearray(model.output_bytes)
    for window in windows:
        model.run(window, out)
        wanted.append(out.hex())

    done = subprocess.run([*command, "-c", PROGRAM, str(path)], input=b"".join(windows), env=environment, cwd=ROOT,
                          capture_output=True)  # fmt: skip

    assert done.returncode == 0, done.stderr.decode()[-800:]
    assert done.stdout.decode().split() == ["aarch64", *wanted]


def test_the_agent_answers_over_tls(python, tmp_path):
    command, environment = python
    site = Site(tmp_path)
    try:
        options = ["--source", "load", "--ca", tmp_path / "ca.pem", "--board", "sbc_aarch64"]
        _, hello = site.spawn(*options, port=site.tls["broker"], python=command, env=environment)
        site.give_beacon(1)
        site.until(lambda: site.payloads(hello, "heartbeat") and site.payloads(hello, "announce"))

        board, _, _, core, _, _, source = announced(site.payloads(hello, "announce")[0])
        assert (board, core, source.split()[0]) == ("sbc_aarch64", "aarch64", "load")
        assert heartbeat(site.payloads(hello, "heartbeat")[0])[2] == 1
    finally:
        site.end()
