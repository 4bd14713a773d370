"""A board's test of itself over its REPL, as it leaves the factory: it makes its key, reads its sensors, signs. It
judges nothing, and the secret key stays on the board.

It needs the emulated boards' firmware, whose module `core` knows the board's memory and sensors.
"""

from dataclasses import dataclass

from boards.console import ConsoleError
from boards.emulator import EmulatorError
from boards.repl import Repl

MAX_VALUES = 8

_TEST = """
import _tinyren, core
from array import array
from binascii import hexlify
from agent import identity, wire
from agent.store import Store
def _test():
    store = Store(core.open_regions()["store"])
    me = identity.Identity(store.open(lambda: identity.new_secret(_tinyren.entropy)), _tinyren)
    source, values = core.open_source(), array("h", [0] * 4)
    is_read = source.read(values)
    import host_model
    frame = wire.sign_announce(me.id, me.sign, _tinyren.BOARD, store.boot, _tinyren.VERSION, _tinyren.CORE,
                               _tinyren.Model(host_model.ARTIFACT).cid, me.public_key, source.name)
    print(hexlify(frame).decode(), *(values if is_read else ()))
_test()
"""


@dataclass(frozen=True)
class SelfTest:
    """announce: the frame that the board signed. values: what its sensors gave, int16 each, () without sensors."""

    announce: bytes
    values: tuple[int, ...]


def run_selftest(repl: Repl) -> SelfTest:
    """Run it; it counts as a boot of the device.

    Raises:
        ConsoleError: no answer, the board has another firmware, or a part of it does not work; what, in one line.
    """
    try:
        words = repl.exec(_TEST).split()
        announce, values = bytes.fromhex(words[0]), tuple(int(word) for word in words[1:])
        if len(values) > MAX_VALUES:
            raise ValueError
    except EmulatorError as error:
        raise ConsoleError(f"self-test: {error}; see the board's wiring and its firmware") from error
    except (ValueError, IndexError) as error:
        raise ConsoleError("self-test: got something else than its result; press reset and try again") from error
    return SelfTest(announce, values)
