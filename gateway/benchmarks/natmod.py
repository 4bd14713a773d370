"""What the native modules take of stock MicroPython on each emulated core: bytes and instructions; refuses to call
instructions cycles.

A module takes its file's bytes of heap when it is imported, and little more. Instructions are counted as in boards.py.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boards import natmod
from boards.board import Board
from boards.sources import Report

REPL_S = 120.0

_FREE = "import gc\ngc.collect()\ngc.collect()\nprint(gc.mem_free())"
_PROGRAM = """
def measure(counter, nanoseconds, capture):
    from tinyren_curve import blind, ecdh, pubkey, recover, sign
    key, digest = b"1" * 32, b"2" * 32
    blind(digest)
    point, signature = pubkey(digest), sign(key, digest)
    public = bytes([2 + (point[64] & 1)]) + point[1:33]

    def now():
        if capture:
            mem32[capture] = 1
        return mem32[counter]

    def count(call):
        gc.collect()
        before = now()
        call()
        return ((now() - before) & 0xFFFFFFFF) * nanoseconds

    return {
        "sign": count(lambda: sign(key, digest)),
        "recover": count(lambda: recover(digest, signature)),
        "ecdh": count(lambda: ecdh(key, public)),
    }
"""
_RUN = "import json\nprint(json.dumps(measure({address}, {nanoseconds}, {capture})))"


def measure(board: Board, report: Report) -> dict[str, Any]:
    """{"core", "arch", "file_bytes" and "heap_bytes" by module, "instructions" by function} of one board.

    Raises:
        BoardError: a module or stock MicroPython could not be built, or the board is not for it.
        EmulatorError: QEMU or the board failed.
    """
    arch = (board.natmod or {}).get("arch", "")
    contents = {name: natmod.build_native_module(arch, report, name).read_bytes() for name in natmod.MODULES}
    heap_bytes = {}
    with TemporaryDirectory() as folder:
        emulator, places = natmod.stock_emulator(board, Path(folder), contents, report, icount=True)
        with emulator, emulator.open_repl(REPL_S) as repl:
            repl.exec(natmod.counter_program(board))
            free_bytes = int(repl.exec(_FREE))
            for name in natmod.MODULES:
                repl.exec(natmod.import_laid(places[name], name))
                left_bytes = int(repl.exec(_FREE))
                heap_bytes[name], free_bytes = free_bytes - left_bytes, left_bytes
            repl.exec(_PROGRAM)
            found = json.loads(repl.exec(_RUN.format(**{"capture": 0, **board.emulator["counter"]})))
    sizes = {name: len(content) for name, content in contents.items()}
    return {"core": board.core, "arch": arch, "file_bytes": sizes, "heap_bytes": heap_bytes, "instructions": found}
