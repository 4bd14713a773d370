"""From a person's arguments to EDIL's decisions and back: keys, files, exit codes; it decides nothing.

Exit codes: 2 arguments, keys or plans that cannot be; 3 a gateway or a share-holder refuses; 5 nothing to answer;
7 not in time; 8 a set, share or sum that is not what was signed; 11 the chain is away; 1 everything else.
"""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from coincurve import PrivateKey

from boards.emulator import EmulatorError
from device.agent import rounds
from device.agent.errors import WireError
from device.native.shared import NativeError
from gateway import keys
from gateway.broker.broker import BrokerFailed, BrokerMissing
from gateway.edil import counting, fit, owner, plan
from gateway.edil.cli import URL
from gateway.edil.client import Gateway, GatewayAway, GatewayRefused
from gateway.edil.shares import SetRefused
from gateway.errors import CommandError, Exit
from gateway.oracle.rpc import ChainAway

T = TypeVar("T")

_CODES: dict[type[Exception], Exit] = {
    plan.PlanRefused: Exit.USAGE,
    GatewayAway: Exit.FAILED,
    GatewayRefused: Exit.REFUSED,
    SetRefused: Exit.TRUST,
    owner.NotOpened: Exit.TRUST,
    fit.SumsRefused: Exit.TRUST,
    ChainAway: Exit.CHAIN,
    WireError: Exit.TRUST,
    NativeError: Exit.USAGE,
    BrokerMissing: Exit.USAGE,
    BrokerFailed: Exit.FAILED,
    EmulatorError: Exit.FAILED,
}


def choose_counting(arguments: Namespace, say: Callable[[str], None]) -> counting.Counting:
    """Which devices may be counted, by the arguments; any where none of them says."""
    if arguments.rpc:
        if not arguments.contract:
            raise CommandError("--contract is missing: with --rpc it names the contract Devices", Exit.USAGE)
        contract = told(lambda: counting.parse_address(arguments.contract), Exit.USAGE)
        return counting.follow_chain(arguments.rpc, contract)
    if arguments.contract:
        raise CommandError("--contract: got one without --rpc", Exit.USAGE)
    if arguments.devices:
        listed = counting.count_listed(arguments.devices)
        return lambda: listed
    say(counting.ANY_DEVICE)
    return lambda: counting.count_any


def open_gateways(arguments: Namespace) -> list[Gateway]:
    return [Gateway(url) for url in arguments.gateway or [URL]]


def load_key(path: Path) -> PrivateKey:
    return keys.load(path)


def parse_round(text: str) -> bytes:
    """M from 64 hex digits. Raises CommandError."""
    try:
        digest = bytes.fromhex(text)
        if len(digest) != rounds.DIGEST_BYTES:
            raise ValueError
    except ValueError:
        raise CommandError(f"round: got {text!r}, wanted a manifest's digest, 64 hex digits", Exit.USAGE) from None
    return digest


def told(call: Callable[[], T], otherwise: Exit | None = None) -> T:
    """The value of a call; what it raises for a known reason becomes a CommandError with the reason's exit code."""
    try:
        return call()
    except tuple(_CODES) as error:
        code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
        raise CommandError(str(error), code) from error
    except ValueError as error:
        if otherwise is None:
            raise
        raise CommandError(str(error), otherwise) from error


def read_json(path: Path) -> Any:
    """A JSON file's content. Raises CommandError."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise CommandError(f"{path}: {error}; wanted JSON", Exit.USAGE) from error


def write(arguments: Namespace, value: dict[str, Any]) -> None:
    """Write a result to the file of --out, and say so, or to stdout."""
    if arguments.out is None:
        print(json.dumps(value), flush=True)
        return
    arguments.out.write_text(json.dumps(value) + "\n")
    show(arguments, {"file": str(arguments.out)}, str(arguments.out))


def show(arguments: Namespace, value: dict[str, Any], text: str) -> None:
    """The last word of a command."""
    print(json.dumps(value) if arguments.json else text, flush=True)
