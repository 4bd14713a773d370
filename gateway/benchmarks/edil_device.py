"""What EDIL takes of each emulated board: instructions and RAM of an encryption; refuses to call instructions cycles.

Counted as in bench_boards.py. An encryption is of 340 values in three digits, for two share-holders, whatever the ring
is. Its RAM is its `work`, 4 bytes a coefficient, and the stack: below the Python that calls, the stack is filled with a
pattern, and what of it is left afterwards was not used; what the encryption wipes counts.
"""

import json
import subprocess
from tempfile import TemporaryDirectory
from typing import Any

from boards.board import Board
from boards.build import Firmware
from boards.emulator import Emulator

RINGS = (1024, 2048, 4096)
REPL_S = 60.0
PAINTED_BYTES = 8192

# Of the functions that it defines, each takes the same stack until it calls.
_PROGRAM = r"""
def measure(counter, nanoseconds, stack_end, painted):
    import _tinyren as t, gc, micropython
    from array import array
    from machine import mem32

    key, other, pattern = b"k" * 32, b"o" * 32, 0x5EED5EED
    point = t.pubkey(other)
    public = bytes([2 + (point[64] & 1)]) + point[1:33]
    signature = t.sign(key, other)
    values = array("i", [-4000000] * 340)

    def count(call):
        gc.collect()
        call()
        before = mem32[counter]
        call()
        return ((mem32[counter] - before) & 0xFFFFFFFF) * nanoseconds

    def stack_bytes(call):
        top = (stack_end - micropython.stack_use()) & ~3
        low = top - painted
        for address in range(low, top - 512, 4):
            mem32[address] = pattern
        call()
        while mem32[low] == pattern:
            low += 4
        return top - low

    found = {"instructions": {}, "stack_bytes": {}}
    for ring in (1024, 2048, 4096):
        work = bytearray(4 * ring)
        call = lambda: t.encrypt(ring, key + other, key, other, values, 3, 8, work)
        found["instructions"][str(ring)] = count(call)
        found["stack_bytes"][str(ring)] = stack_bytes(call)
    found["instructions"]["ecdh"] = count(lambda: t.ecdh(key, public))
    found["instructions"]["recover"] = count(lambda: t.recover(other, signature))
    return found
"""
_RUN = "import json\nprint(json.dumps(measure({address}, {nanoseconds}, {stack_end}, {painted})))\ndel measure"


def measure(board: Board, firmware: Firmware) -> dict[str, dict[str, int]]:
    """{"instructions", "ram_bytes"} by ring; instructions also of "ecdh" and "recover".

    Raises:
        EmulatorError: QEMU or the board failed.
    """
    place = {**board.emulator["counter"], "stack_end": stack_end(board, firmware), "painted": PAINTED_BYTES}
    with TemporaryDirectory() as folder, Emulator(board, firmware.elf, folder, icount=True) as emulator:
        with emulator.open_repl(REPL_S) as repl:
            repl.exec(_PROGRAM)
            found: dict[str, Any] = json.loads(repl.exec(_RUN.format(**place)))
    ram = {str(ring): 4 * ring + found["stack_bytes"][str(ring)] for ring in RINGS}
    return {"instructions": found["instructions"], "ram_bytes": ram}


def stack_end(board: Board, firmware: Firmware) -> int:
    """The address from which a board's stack grows down, which its linker script calls `_estack`."""
    command = [board.toolchain["compiler"].removesuffix("gcc") + "nm", str(firmware.elf)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0], 16) for line in printed.splitlines() if line.endswith(" _estack"))
