"""A board's test of itself over its REPL, as it leaves the factory: it makes its key, reads its sensors, signs. It
judges nothing, and the secret key stays on the board.

It needs a board with the agent: the emulated ones' firmware, or stock MicroPython that was brought it. Their module
`core` knows the board's memory and sensors.
"""

from dataclasses import dataclass

from boards.console import ConsoleError
from boards.emulator import EmulatorError
from boards.repl import Repl, printable

MAX_VALUES = 8
OWNER_BYTES = 20

_TEST = """
import gc
gc.threshold(4096)  # as stock/main.py has it
import _tinyren, core
from array import array
from binascii import hexlify
from agent import identity, wire
from agent.store import Store
def _test():
    if hasattr(_tinyren, "rest"):
        _tinyren.watchdog()  # on stock MicroPython one that runs cannot be stopped
    store = Store(core.open_regions()["store"])
    me = identity.Identity(store.open(lambda: identity.new_secret(_tinyren.entropy)), _tinyren)
    source, values = core.open_source(), array("h", [0] * 4)
    is_read = source.read(values)
    import host_model
    frame = wire.sign_announce(me.id, me.sign, _tinyren.BOARD, store.boot, _tinyren.VERSION, _tinyren.CORE,
                               _tinyren.Model(host_model.ARTIFACT).cid, me.public_key, source.name)
    print(hexlify(frame).decode(), hexlify(store.owner or b"").decode() or "-", *(values if is_read else ()))
_test()
"""


@dataclass(frozen=True)
class SelfTest:
    """announce: the frame that the board signed. values: what its sensors gave, int16 each, () without sensors. owner:
    the address that it keeps, None for none. said: what it said before, as that a sensor does not answer.
    """

    announce: bytes
    values: tuple[int, ...]
    owner: bytes | None = None
    said: tuple[str, ...] = ()


def run_selftest(repl: Repl) -> SelfTest:
    """Have the board begin anew without its agent, and run it; it counts as a boot of the device.

    Raises:
        ConsoleError: no answer, the board has no agent, or a part of it does not work; what, in one line.
    """
    try:
        repl.fresh()
        return parse_selftest(repl.exec(_TEST))
    except EmulatorError as error:
        raise ConsoleError(f"self-test: {error}; see the board's wiring and its firmware") from error
    except ValueError as error:
        raise ConsoleError("self-test: got something else than its result; press reset and try again") from error


def parse_selftest(printed: str) -> SelfTest:
    """What a board printed; raises ValueError: something else."""
    *said, last = printed.splitlines()
    announce, owner, *values = last.split()
    kept = None if owner == "-" else bytes.fromhex(owner)
    if len(values) > MAX_VALUES or (kept is not None and len(kept) != OWNER_BYTES):
        raise ValueError
    return SelfTest(bytes.fromhex(announce), tuple(map(int, values)), kept, tuple(map(printable, said)))
