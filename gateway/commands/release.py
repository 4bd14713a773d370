"""`tinyren release` and `tinyren identify`: a device leaves its owner, or shows which it is.

    chain: the deed's slot is free ─▶ the broker's account is gone ─▶ the device forgets its owner

The key stays in this process. What is done is not done again, so a release that was cut anywhere is gone on with by the
same command.
"""

import re
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive, print_json, readable
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from gateway.site.site_file import Site

GAS_WEI = 10**16
_DEVICE = re.compile(r"(0x)?([0-9a-fA-F]{40})")


def add_release(commands: Any) -> None:
    """The commands `release` and `identify`."""
    text = "free a device of its deed and its owner, to sell it or because it is lost"
    release = _command(commands, "release", text, run_release)
    release.add_argument("--key", required=True, type=readable, metavar="FILE", help="64 hex digits, the owner's key")
    release.add_argument("--lost", action="store_true", help="only free the deed: the device is out of reach")
    identify = _command(commands, "identify", "have a device blink, to see which one it is", run_identify)
    identify.add_argument(
        "--seconds", type=positive, default=10, metavar="S", help="how long (default: 10, at most 30)"
    )


def _command(commands: Any, name: str, text: str, run: Any) -> Any:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("device", type=_device, metavar="DEVICE", help="device id, 0x and 40 hex digits")
    command.add_argument(
        "--site", type=Path, default=Path("site"), metavar="DIR", help="the running site (default: site)"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)
    return command


def _device(text: str) -> bytes:
    match = _DEVICE.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"got {text!r}, wanted a device id, 0x and 40 hex digits")
    return bytes.fromhex(match[2])


def run_release(arguments: Namespace) -> int:
    from gateway import keys

    site, key = _site(arguments), keys.load(arguments.key)
    deed, tx = _free(arguments, site, key)
    done: dict[str, Any] = {"device": "0x" + arguments.device.hex(), "deed": deed or None, "tx": tx, "boot": None}
    if not arguments.lost:
        from gateway.binding import client

        contract = bytes.fromhex(site.contracts["devices"][2:])
        done["boot"] = _asked(lambda url: client.release(url, arguments.device, key, contract), site)["boot"]
    if arguments.json:
        print_json(done)
        return Exit.OK
    print(f"deed {deed} has a slot more, transaction {tx}" if tx else "the chain had released it before")
    if arguments.lost:
        print("whoever finds it cannot bind it: it signs for its owner only, until that one releases it")
    else:
        print(f"it has forgotten its owner; for the next one: tinyren label 0x{arguments.device.hex()} --replace")
    return Exit.OK


def run_identify(arguments: Namespace) -> int:
    from gateway.binding import client

    if arguments.seconds > 30:
        raise CommandError(f"--seconds: got {arguments.seconds}, wanted at most 30", Exit.USAGE)
    site = _site(arguments)
    _asked(lambda url: client.identify(url, arguments.device, arguments.seconds), site)
    if arguments.json:
        print_json({"device": "0x" + arguments.device.hex(), "seconds": arguments.seconds})
    else:
        print(f"it blinks for {arguments.seconds} s; an emulated board says so on its console")
    return Exit.OK


def _site(arguments: Namespace) -> "Site":
    from gateway.site import site_file

    site = site_file.read(arguments.site)
    if site is None or "devices" not in site.contracts:
        what = "wanted the folder of a site that runs: `tinyren up`"
        raise CommandError(f"--site: got {arguments.site}, {what}", Exit.USAGE)
    return site


def _free(arguments: Namespace, site: "Site", key: "PrivateKey") -> tuple[int, str | None]:
    """(deed that the chain had it bound to, transaction that released it); (0, None) if it was released before."""
    from eth_utils.address import to_checksum_address

    from gateway import keys
    from gateway.chain import chain as chains
    from gateway.chain.chain import ChainError
    from gateway.settlement.settlement import Contracts, Settlement

    device = to_checksum_address(arguments.device)
    try:
        chain = chains.connect(site.chain_rpc)
        settlement = Settlement(chain, Contracts(**site.contracts), key)
        deed = settlement.deed_of(device)
        if not deed:
            return 0, None
        found, owner = settlement.deed(deed), chains.address_of(key)
        whose = str(to_checksum_address(found.owner)) if found else "nobody"
        if whose != owner:
            what = f"deed {deed} is {whose}'s, not {owner}'s: name its owner's key"
            raise CommandError(f"--key: {what}", Exit.REFUSED)
        if not site.chain_external and int(chain.request("eth_getBalance", [owner, "latest"]), 16) < GAS_WEI // 2:
            chain.pay(owner, GAS_WEI, keys.load(arguments.site / "keys" / "deployer.key"))
        receipt = settlement.release(device)
    except ChainError as error:
        what = f"nothing was released, the chain says {error}; see that the site runs, then the same command again"
        raise CommandError(what, Exit.CHAIN) from error
    return deed, receipt.tx if receipt else None


def _asked(call: Any, site: "Site") -> Any:
    from gateway.binding import client
    from gateway.binding.pending import Refused

    try:
        return call(f"http://127.0.0.1:{site.page_port}")
    except Refused as error:
        raise CommandError(str(error), client.CODES.get(error.reason, Exit.REFUSED)) from error
    except client.GatewayAway as error:
        raise CommandError(str(error), Exit.TIMEOUT) from error
