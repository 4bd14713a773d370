"""`tinyren relay`: pays the gas of owners' claims where they are worth it, or where a sponsor wants it so."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive, print_json, readable
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.settlement.sponsoring import Batch


def add_relay(commands: Any) -> None:
    """The command `relay`."""
    relay = commands.add_parser("relay", help="claim for owners what is worth its gas, or is sponsored")
    relay.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    relay.add_argument("--key", type=readable, required=True, metavar="FILE",
                       help="64 hex digits, the funded key that pays; nobody else's meanwhile")  # fmt: skip
    relay.add_argument("--r1-wei", type=positive, required=True, metavar="WEI",
                       help="what one R1 is worth, in wei of the chain's coin")  # fmt: skip
    relay.add_argument("--budget", type=positive, default=10**17, metavar="WEI", help="most for gas (default: 10^17)")
    relay.add_argument("--percent", type=percent, default=5, metavar="P",
                       help="a fee is at most P %% of what the claim is worth (default: 5)")  # fmt: skip
    relay.add_argument("--sponsor", type=positive, default=0, metavar="WEI",
                       help="pay so much more for small owners (default: 0)")  # fmt: skip
    relay.add_argument("--rpc", metavar="URL", help="the chain (default: the site's own)")
    relay.add_argument("--dry-run", action="store_true", help="say what would be sent, send nothing")
    relay.add_argument("--json", action="store_true", help="print one JSON object")
    relay.set_defaults(run=run_relay)


def percent(text: str) -> int:
    """An argument that must be a whole percentage from 1 to 100."""
    value = positive(text)
    if value > 100:
        raise ArgumentTypeError(f"got {text!r}, wanted 1 to 100")
    return value


def run_relay(arguments: Namespace) -> int:
    from gateway import keys
    from gateway.chain.chain import ChainError
    from gateway.settlement.settlement import Contracts, Settlement
    from gateway.site import site_file
    from gateway.verify.site import chain_of

    site = site_file.read(arguments.site)
    if site is None or not site.contracts:
        raise CommandError(f"{arguments.site}: wanted the folder of a site that `tinyren up` made", Exit.USAGE)
    key = keys.load(arguments.key)
    with chain_of(arguments.site, site, arguments.rpc) as chain:
        try:
            fields = _relay(arguments, Settlement(chain, Contracts(**site.contracts), key))
        except ChainError as error:
            raise CommandError(f"chain: {error}", Exit.CHAIN) from error
    if arguments.json:
        print_json(fields)
    else:
        print("\n".join(_lines(fields)))
    return Exit.CHAIN if fields["failed"] else Exit.OK


def _relay(arguments: Namespace, settlement: Any) -> dict[str, Any]:
    from gateway.settlement.relaying import find_dues, gas_price, relay
    from gateway.settlement.sponsoring import Plan, Terms, plan

    dues, trees = find_dues(arguments.site, settlement)
    purses = (arguments.budget, arguments.sponsor, arguments.percent)
    decided = plan(dues, Terms(gas_price(settlement), arguments.r1_wei, *purses))
    done = relay(settlement, Plan((), ()) if arguments.dry_run else decided, trees)
    return {
        "dry_run": arguments.dry_run,
        "send": [_row(batch) for batch in decided.send],
        "waiting": [_row(batch) for batch in decided.waiting],
        "fees_wei": str(decided.fees_wei),
        "claims": [{**vars(claim), "amount_wei": str(claim.amount_wei)} for claim in done.claims],
        "failed": [{"deeds": list(batch.deeds), "why": why} for batch, why in done.failed],
    }


def _row(batch: "Batch") -> dict[str, Any]:
    amounts = {name: str(value) for name, value in vars(batch).items() if name.endswith("wei")}
    return {**vars(batch), **amounts, "deeds": list(batch.deeds)}


def _lines(fields: dict[str, Any]) -> list[str]:
    lines = []
    for verb, rows in (("send", fields["send"]), ("wait", fields["waiting"])):
        for row in rows:
            deeds = ", ".join(map(str, row["deeds"][:5])) + (" ..." if len(row["deeds"]) > 5 else "")
            lines.append(f"{verb}  deeds {deeds}: {row['wei']} wei of R1, fee {row['fee_wei']} wei; {row['why']}")
    lines += [f"failed  deeds {', '.join(map(str, row['deeds']))}: {row['why']}" for row in fields["failed"]]
    word = "FAILED" if fields["failed"] else "OK"
    paid = sum(int(claim["amount_wei"]) for claim in fields["claims"])
    return [*lines, f"RESULT: {word} claims={len(fields['claims'])} paid_wei={paid}"]
