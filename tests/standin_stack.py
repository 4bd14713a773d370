"""How deep a stand-in used its stack since it began: the host looks at the paint, the board does nothing for it."""

import subprocess

from boards.hardware import load_hardware

PAINT = b"\xa5"
TOPS = {"arm-none-eabi-": -4096, "riscv64-unknown-elf-": 65536}  # of device/native/standin/stack.c, from _estack
GUARD_BYTES = 4096
SPARE_BYTES = 1024  # what the agent leaves at least, for interrupts, which a stand-in has none of


def stack_left(emulator, name):
    """Bytes that were never written on the stack of the stand-in for the board `name`; 0 if all of it was."""
    tools = emulator.board.toolchain["compiler"].removesuffix("gcc")
    symbols = subprocess.run([tools + "nm", emulator.elf], capture_output=True, text=True, check=True).stdout
    end = next(int(line.split()[0], 16) for line in symbols.splitlines() if line.endswith(" _estack")) + TOPS[tools]
    size = GUARD_BYTES + load_hardware(name).stack.bytes
    path = emulator.folder / "stack.bin"
    emulator.qmp("pmemsave", val=end - size, size=size, filename=str(path))
    guard, stack = path.read_bytes()[:GUARD_BYTES], path.read_bytes()[GUARD_BYTES:]
    assert not any(guard), "somebody wrote below the stack"
    return len(stack) - len(stack.lstrip(PAINT))
