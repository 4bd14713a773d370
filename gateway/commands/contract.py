"""What commands over contracts share: where the chain is, who pays, amounts, a dry run. Knows no contract's rules.

A command says what it does as one function over a Place; `perform` runs it, or with --dry-run only tries its first
transaction. A contract's refusal ends with exit code 3 and what to do next, a chain that does not answer with 11.
"""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import print_json, readable
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from gateway.chain.chain import Chain, ChainError, Contract
    from gateway.settlement.settlement import Settlement

Fields = dict[str, Any]
DECIMALS = 18
SETTLEMENT = ("settlement", "the settlement contract (default: the site's)")
DEVICES = ("devices", "the contract of bindings (default: the site's)")

NEXT = {
    "ERC20InsufficientBalance": "the key's address has too little of the token; name a smaller amount or another key",
    "ERC721IncorrectOwner": "only the deed's owner does that; name the owner's key",
    "ERC721InsufficientApproval": "only the deed's owner does that; name the owner's key",
    "ERC721NonexistentToken": "there is no such deed",
    "ERC721InvalidReceiver": "a deed is not given to nobody",
    "ExceedsCap": "the deposit is used up",
    "GovernorAlreadyCastVote": "one vote a proposal; `tinyren vote show` has it",
    "GovernorInsufficientProposerVotes": "`tinyren vote deposit` gives votes, which count from the next block on",
    "GovernorNonexistentProposal": "`tinyren vote show` lists the proposals",
    "GovernorUnexpectedProposalState": "`tinyren vote show` says what it waits for",
    "NotBound": "there is nothing to free",
    "NotBuyer": "only who opened the job ends it; name the buyer's key",
    "NotOnSale": "the council has set no rate yet",
    "NotOver": "workers have time to claim; what they did not deliver comes back after that epoch",
    "NotOwner": "only the owner of the device's deed frees it; name the owner's key",
    "NotWorker": "the job was opened for other deeds",
    "OutOfBounds": "a vote may make that stricter than at deployment, never laxer",
    "TooExpensive": "the price rose; name a larger --most, or buy fewer",
    "WrongCount": "buy at most 100 at once",
    "WrongTerms": "wanted a deposit of at least one run's price, 1 to 10,000 epochs, at most 100 deeds",
}


@dataclass(frozen=True)
class Place:
    """A chain, and what is known of it: the folder and contracts of a site (field of Contracts -> address), or {}."""

    chain: "Chain"
    folder: Path
    contracts: Mapping[str, str]
    key: "PrivateKey | None" = None

    def contract(self, name: str, field: str, given: str | None) -> "Contract":
        """The contract `name` at the address that was given, or the site's.

        Raises:
            CommandError: neither is there, or no contract is at that address.
        """
        from gateway.chain.chain import Contract

        address = given or self.contracts.get(field, "")
        if not address:
            what = f"--{field}: missing, and {self.folder} is no site that has one"
            raise CommandError(f"{what}; name its address, and its chain by --rpc", Exit.USAGE)
        if not self.chain.has_code(address):
            what = f"--{field}: no contract at {address} on chain {self.chain.chain_id}"
            raise CommandError(f"{what}; is --rpc the right chain?", Exit.USAGE)
        return Contract(name, address)

    def own(self, name: str, field: str) -> "Contract":
        """The site's own contract `name`.

        Raises:
            CommandError: the folder is no site's, or its contract is not on this chain.
        """
        if not self.contracts:
            what = f"--site: got {self.folder}, wanted the folder of a site"
            raise CommandError(f"{what}; `tinyren up --site {self.folder}` makes one", Exit.USAGE)
        return self.contract(name, field, None)

    @property
    def payer(self) -> "PrivateKey":
        """The key that signs."""
        if self.key is None:
            raise CommandError("--key is missing", Exit.USAGE)
        return self.key


def add_place(parser: Any, *contracts: tuple[str, str]) -> None:
    """The options of every command here; `contracts`: (name of an option for an address, what it is)."""
    parser.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    parser.add_argument("--rpc", metavar="URL", help="the chain (default: the site's own)")
    for name, what in contracts:
        parser.add_argument(f"--{name}", type=address, metavar="0x...", help=what)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_payer(parser: Any) -> None:
    """The options of commands that send something."""
    parser.add_argument("--key", type=readable, required=True, metavar="FILE",
                        help="64 hex digits, the key that signs and pays; nobody else's meanwhile")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="try it on the newest block, send nothing")


def address(text: str) -> str:
    """An argument that must be an address; its EIP-55 form."""
    from eth_utils.address import is_address, to_checksum_address

    if not is_address(text) or not text.startswith("0x"):
        raise ArgumentTypeError(f"got {text[:60]!r}, wanted an address: 0x and 40 hex digits")
    return str(to_checksum_address(text))


def amount(text: str) -> Decimal:
    """An argument that must be an amount of a token above 0, such as 12.5."""
    try:
        value = Decimal(text) if text.isascii() else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 < value < 10**30:
        raise ArgumentTypeError(f"got {text[:60]!r}, wanted an amount above 0, such as 12.5")
    return value


def base_units(value: Decimal, option: str, decimals: int = DECIMALS) -> int:
    """An amount in the token's base units (wei).

    Raises:
        CommandError: it has more digits behind the point than the token.
    """
    scaled = value.scaleb(decimals)
    if scaled != int(scaled):
        raise CommandError(f"{option}: got {value}, wanted at most {decimals} digits behind the point", Exit.USAGE)
    return int(scaled)


def shown(units: int, decimals: int = DECIMALS) -> str:
    """An amount of base units as a person writes it."""
    text = f"{Decimal(units).scaleb(-decimals):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def perform(arguments: Namespace, do: Callable[[Place], Fields], lines: Callable[[Fields], list[str]]) -> int:
    """Run `do`, and print its fields as JSON or as `lines`; with --dry-run it sends nothing."""
    with place_of(arguments) as place:
        fields = _tried(place, do) if getattr(arguments, "dry_run", False) else do(place)
    if arguments.json:
        print_json(fields)
    else:
        print("\n".join(_tried_lines(fields) if "would_send" in fields else lines(fields)))
    return Exit.OK


@contextmanager
def place_of(arguments: Namespace) -> Iterator[Place]:
    """The place that the arguments name.

    Raises:
        CommandError: there is no such site or chain; or what was done in it failed on the chain.
    """
    from gateway import keys
    from gateway.chain.abi import TooLarge
    from gateway.chain.chain import ChainError, connect
    from gateway.site import site_file
    from gateway.verify.site import chain_of

    site = site_file.read(arguments.site)
    if (site is None or not site.contracts) and not arguments.rpc:
        what = f"--site: got {arguments.site}, which is no site yet"
        raise CommandError(f"{what}; run `tinyren up` first, or name a chain by --rpc", Exit.USAGE)
    key = keys.load(arguments.key) if getattr(arguments, "key", None) else None
    try:
        if site and site.contracts:
            with chain_of(arguments.site, site, arguments.rpc) as chain:
                yield _checked(Place(chain, arguments.site, site.contracts, key), arguments)
        else:
            chain = connect(arguments.rpc)
            yield _checked(Place(chain, arguments.site, {}, key), arguments)
    except ChainError as error:
        raise _command_error(error) from error
    except TooLarge as error:
        raise CommandError(f"{error}; name a smaller number", Exit.USAGE) from error


def settlement_at(place: Place, arguments: Namespace) -> "Settlement":
    """The settlement of the arguments, or the site's, with its R1 and deeds; with devices where they are an option.

    Raises:
        CommandError: as Place.contract.
    """
    from gateway.settlement.settlement import NOBODY, Contracts, Settlement

    contract = place.contract("Settlement", "settlement", arguments.settlement)
    r1, deeds = (place.chain.call(contract, name) for name in ("r1", "deeds"))
    has_devices = hasattr(arguments, "devices")
    devices = place.contract("Devices", "devices", arguments.devices).address if has_devices else NOBODY
    return Settlement(place.chain, Contracts(r1, deeds, devices, contract.address), place.key)


def _checked(place: Place, arguments: Namespace) -> Place:
    """The place, if its key can pay."""
    from gateway.chain.chain import address_of

    if place.key is not None and not arguments.dry_run:
        payer = address_of(place.key)
        if place.chain.request("eth_getBalance", [payer, "latest"]) == "0x0":
            what = f"--key: {payer} has no coin of chain {place.chain.chain_id} to pay for gas"
            raise CommandError(f"{what}; send it some, or name another key", Exit.REFUSED)
    return place


def _command_error(error: "ChainError") -> CommandError:
    if not error.name:
        return CommandError(f"chain: {error}", Exit.CHAIN)
    follows = f"; {NEXT[error.name]}" if error.name in NEXT else ""
    return CommandError(f"refused: {error}{follows}", Exit.REFUSED)


def _tried(place: Place, do: Callable[[Place], Fields]) -> Fields:
    from gateway.chain.chain import Rehearsed

    place.chain.only_tries = True
    try:
        return {"dry_run": True, **do(place)}
    except Rehearsed as tried:
        price_wei = int(place.chain.request("eth_gasPrice", []), 16)
        return {"dry_run": True, "would_send": tried.what, "gas": tried.gas, "fee_wei": str(tried.gas * price_wei)}


def _tried_lines(fields: Fields) -> list[str]:
    said = f"nothing was sent; {fields['would_send']} would be done, for about {fields['gas']:,} gas"
    return [f"{said} ({shown(int(fields['fee_wei']))} of the chain's coin)", "RESULT: OK dry_run"]
