"""Runs the agent as a process on CPython: a device of this computer, the same agent as on a board.

    python -m device.agent --broker HOST:PORT --store FILE [--replay FILE.csv | --link-samples] [--board NAME]

FILE of --store keeps key, boot number and owner. Without --replay the samples are waves that it computes, and says so.
It prints one line of JSON {id, ren, boot} and ends on SIGINT and SIGTERM, without DISCONNECT, so that the broker tells
that it is gone. Exit codes: 0 ended, 1 cannot run, 2 wrong arguments; the cause is one line on stderr.
"""

import argparse
import csv
import json
import signal
import sys
from pathlib import Path

from ..native.shared import Model, NativeError
from .errors import AgentError
from .identity import eip55
from .port import FileMemory, Port
from .run import READ_BYTES, start, step
from .sampling import LinkSource

MODEL = Path(__file__).parents[2] / "models" / "host" / "encoder.ren"


class Waves:
    """Triangles of four periods: no measurement, but input that changes."""

    name = "computed waves"

    def __init__(self):
        self._step = 0

    def read(self, out) -> bool:
        self._step += 1
        out[0] = 6400 + 16 * abs(self._step % 200 - 100)
        for channel, period in ((1, 60), (2, 90), (3, 130)):
            out[channel] = 20 * abs(self._step % period - period // 2)
        return True


class Recording:
    """A CSV file with the columns temperature_c, x, y, z, a row a sample, again and again.

    Raises:
        ValueError: a column is missing, a value is no number or outside int16, or there is no row.
    """

    def __init__(self, path):
        with open(path, newline="") as file:
            self._rows = [self._sample(row, number) for number, row in enumerate(csv.DictReader(file), 1)]
        if not self._rows:
            raise ValueError(f"{path}: got no row, wanted one")
        self.name = f"recorded {Path(path).name}"[:48]
        self._next = 0

    def read(self, out) -> bool:
        out[:] = type(out)("h", self._rows[self._next])
        self._next = (self._next + 1) % len(self._rows)
        return True

    def _sample(self, row, number):
        try:
            sample = (round(float(row["temperature_c"]) * 256), *(round(float(row[name])) for name in "xyz"))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"row {number}: got {row}, wanted numbers temperature_c, x, y, z") from error
        if not all(-32768 <= value <= 32767 for value in sample):
            raise ValueError(f"row {number}: got {sample}, wanted values of 16 bits")
        return sample


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m device.agent", description="Run a device on this computer.")
    parser.add_argument("--broker", required=True, metavar="HOST:PORT", help="where the MQTT broker listens")
    parser.add_argument("--store", required=True, metavar="FILE", help="keeps key, boot number and owner")
    parser.add_argument("--replay", metavar="FILE.csv", help="samples from a recording")
    parser.add_argument("--link-samples", action="store_true", help="samples as they come over the link")
    parser.add_argument("--board", default="cpython", help="board name that is announced (default: %(default)s)")
    parser.add_argument("--model", default=MODEL, metavar="FILE", help="compiled encoder; host.json lies beside it")
    options = parser.parse_args(arguments)
    host, _, number = options.broker.rpartition(":")
    if not host or not number.isdigit():
        parser.error(f"--broker: got {options.broker}, wanted HOST:PORT")
    if options.replay and options.link_samples:
        parser.error("--replay and --link-samples: got both, wanted one")
    options.host, options.number = host, int(number)
    return options


def make_source(options):
    if options.link_samples:
        return LinkSource()
    return Recording(options.replay) if options.replay else Waves()


def main(arguments=None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = Port(options.host, options.number, options.board)
    try:
        model = Model(Path(options.model).read_bytes())
        facts = json.loads(Path(options.model).with_name("host.json").read_text())
        memory = FileMemory(options.store)
        agent = start(port, memory, make_source(options), model, facts["offsets"], facts["shifts"])
        me = agent.identity
        print(json.dumps({"id": eip55(me.id, port.keccak256), "ren": me.address, "boot": agent.boot}), flush=True)
        buffer = bytearray(READ_BYTES)
        while True:
            port.idle(step(agent, port, buffer))
    except KeyboardInterrupt:
        return 0
    except (OSError, ValueError, AgentError, NativeError) as error:
        print(f"device.agent: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
