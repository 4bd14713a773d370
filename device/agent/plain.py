"""Sends a gateway-trusted round this device's values IN THE CLEAR, signed; on CPython only, never part of the agent.

    python -m device.agent.plain --confidentiality gateway-trusted --store FILE --round R --values FILE.json
        --gateway URL

Not EDIL: the gateway reads the values (EDIL.md, section 8). So it is a program of its own that wants the mode in words,
and the agent, which encrypts, never falls back to it. FILE of --store is the agent's; its key is read from a copy, so
that the agent may run and no boot is counted. Prints one line of JSON. Exit codes: 0 taken, 1 not, 2 wrong arguments.
"""

import argparse
import json
import struct
import sys
import urllib.error
import urllib.request
from pathlib import Path

from . import cbor
from .cose import sign1
from .errors import AgentError
from .identity import Identity, eip55
from .port import Port
from .store import Store

MODE = "gateway-trusted"
PLAIN = -65544  # label of the payload
TIMEOUT_S = 10
ANSWER_MAX_BYTES = 4096


class Copy:
    """A store's bytes in RAM: what is written goes nowhere else."""

    erase_bytes = 0

    def __init__(self, content: bytes):
        self.size = len(content)
        self._content = bytearray(content)

    def read(self, addr: int, buffer):
        buffer[:] = self._content[addr : addr + len(buffer)]

    def write(self, addr: int, data):
        self._content[addr : addr + len(data)] = data


def sign_plain(round_digest: bytes, values, device: bytes, sign) -> bytes:
    """R (32 bytes) and values (int32) in the clear, signed by a device (id, 20 bytes) -> frame."""
    return sign1(cbor.encode({PLAIN: [round_digest, struct.pack(f"<{len(values)}i", *values)]}), device, sign)


def open_identity(path, port):
    """Whose store it is. Raises OSError, StoreError, or ValueError: there is no key in it."""

    def refuse():
        raise ValueError(f"{path}: got no key, wanted the store of an agent that has run")

    return Identity(Store(Copy(path.read_bytes())).open(refuse), port)


def read_values(path):
    """The integers of a JSON file. Raises OSError, ValueError."""
    values = json.loads(path.read_text())
    if type(values) is not list or any(type(value) is not int or not -(2**31) <= value < 2**31 for value in values):
        raise ValueError(f"{path}: got something else, wanted a JSON array of 32-bit integers")
    return values


def post(url, frame):
    """Give a frame to a gateway. Raises OSError, or ValueError: it is refused, with the gateway's reason."""
    body = json.dumps({"plain": frame.hex()}).encode()
    address, kind = f"{url.rstrip('/')}/edil/trusted/values", {"Content-Type": "application/json"}
    try:
        urllib.request.urlopen(urllib.request.Request(address, body, kind), timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        said = error.read(ANSWER_MAX_BYTES).decode(errors="replace")
        raise ValueError(f"{url}: {''.join(c if c.isprintable() else '?' for c in said)}") from None


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m device.agent.plain", description=__doc__.partition("\n")[0])
    parser.add_argument("--store", type=Path, required=True, metavar="FILE", help="the agent's")
    parser.add_argument("--round", type=bytes.fromhex, required=True, metavar="R", help="its digest, 64 hex digits")
    parser.add_argument("--values", type=Path, required=True, metavar="FILE", help="a JSON array of integers")
    parser.add_argument("--gateway", required=True, metavar="URL", help="its page")
    parser.add_argument("--confidentiality", required=True, choices=[MODE], help="say that the gateway reads them")
    return parser.parse_args(arguments)


def main(arguments=None) -> int:
    options = parse(arguments)
    try:
        port = Port("", 0)
        device = open_identity(options.store, port)
        post(options.gateway, sign_plain(options.round, read_values(options.values), device.id, device.sign))
    except (OSError, ValueError, AgentError) as error:
        print(f"device.agent.plain: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"confidentiality": MODE, "id": eip55(device.id, port.keccak256), "round": options.round.hex()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
