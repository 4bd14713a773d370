"""Runs a check's job as processes of this machine: CPython, MicroPython's unix port, and the kernels for 64-bit Arm
under user emulation. It counts no instructions: nothing here does.

Outputs travel raw on a process's stdout.
"""

import platform
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from boards.aarch64 import build_aarch64
from boards.board import BoardError
from boards.unix import build_unix_agent
from device.native.shared import Model
from models.inputs import SOURCE, make_inputs
from models.job import CheckFailed, Job, Skipped

CPYTHON, UNIX, AARCH64 = "cpython", "unix_x64", "aarch64"
HEAP_BYTES = 1 << 20  # of the unix port, beyond artifact and buffers

_UNIX_PROGRAM = """
import sys
from _tinyren import Model
with open("artifact.ren", "rb") as file:
    model = Model(file.read())
window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)
for index in range({count}):
    fill(window, {seed}, index)
    model.run(window, out)
    sys.stdout.buffer.write(out)
"""


def run_here(job: Job) -> tuple[str, bytes, None]:
    """(core, outputs, no count of instructions) of the shared object, as the SBC agent and a verifier run it."""
    model, outputs = Model(job.artifact), bytearray()
    out = bytearray(model.output_bytes)
    for index, window in enumerate(make_inputs(model.input_bytes, job.seed, job.count), 1):
        model.run(window, out)
        outputs += out
        job.report(CPYTHON, index / job.count)
    return platform.machine(), bytes(outputs), None


def run_unix(job: Job) -> tuple[str, bytes, None]:
    """The same of MicroPython's unix port with our C module; raises Skipped, CheckFailed."""
    if platform.machine() != "x86_64":
        raise Skipped(f"got a computer of kind {platform.machine()}, wanted x86_64")
    program = _built(build_unix_agent, job)
    room = len(job.artifact) + job.model.arena_bytes + job.model.input_bytes + job.model.output_bytes + HEAP_BYTES
    source = SOURCE + _UNIX_PROGRAM.format(seed=job.seed, count=job.count)
    return "x86-64", _outputs(UNIX, [str(program), "-X", f"heapsize={room}", "-c", source], job), None


def run_aarch64(job: Job) -> tuple[str, bytes, None]:
    """The same of the kernels as a program for 64-bit Arm; raises Skipped, CheckFailed."""
    command = ["qemu-aarch64", str(_built(build_aarch64, job)), "artifact.ren"]
    return "aarch64", _outputs(AARCH64, command, job, make_inputs(job.model.input_bytes, job.seed, job.count)), None


def _built(build, job: Job) -> Path:
    try:
        return build(job.report)
    except BoardError as error:
        raise Skipped(str(error)) from error


def _outputs(name: str, command: list[str], job: Job, windows=()) -> bytes:
    """What a command gives, run in a folder that holds artifact.ren, with windows on its stdin."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "artifact.ren").write_bytes(job.artifact)
        with open(Path(folder) / "windows", "w+b") as stdin, open(Path(folder) / "said", "w+b") as stderr:
            stdin.writelines(windows)
            stdin.seek(0)
            with subprocess.Popen(command, cwd=folder, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr) as process:
                assert process.stdout
                outputs = bytearray()
                while output := process.stdout.read(job.model.output_bytes):
                    outputs += output
                    job.report(name, len(outputs) / (job.count * job.model.output_bytes))
            stderr.seek(0)
            said = stderr.read().decode(errors="replace").strip().splitlines() or ["no message"]
    if process.returncode or len(outputs) != job.count * job.model.output_bytes:
        raise CheckFailed(f"{name}: ended with {process.returncode} after {len(outputs)} bytes: {said[-1]}")
    return bytes(outputs)
