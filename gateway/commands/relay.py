"""`tinyren relay`: pays the gas of owners' claims where they are worth it, or where a sponsor wants it so.

Claims are of deeds, of accounts, and of work for paid jobs; the owners alone are paid.
"""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import percent, positive, print_json
from gateway.commands.contract import Place, add_payer, add_place, place_of, shown
from gateway.errors import Exit

if TYPE_CHECKING:
    from gateway.settlement.settlement import Settlement
    from gateway.settlement.sponsoring import Batch


def add_relay(commands: Any) -> None:
    """The command `relay`."""
    relay = commands.add_parser("relay", help="claim for owners what is worth its gas, or is sponsored")
    relay.add_argument("--r1-wei", type=positive, required=True, metavar="WEI",
                       help="what one R1 is worth, in wei of the chain's coin")  # fmt: skip
    relay.add_argument("--budget", type=positive, default=10**17, metavar="WEI", help="most for gas (default: 10^17)")
    relay.add_argument("--percent", type=percent, default=5, metavar="P",
                       help="a fee is at most P %% of what the claim is worth (default: 5)")  # fmt: skip
    relay.add_argument("--sponsor", type=positive, default=0, metavar="WEI",
                       help="pay so much more for small owners (default: 0)")  # fmt: skip
    add_payer(relay)
    add_place(relay)
    relay.set_defaults(run=run_relay)


def run_relay(arguments: Namespace) -> int:
    with place_of(arguments) as place:
        fields = _relay(arguments, place)
    if arguments.json:
        print_json(fields)
    else:
        print("\n".join(_lines(fields)))
    return Exit.CHAIN if fields["failed"] else Exit.OK


def _relay(arguments: Namespace, place: Place) -> dict[str, Any]:
    from gateway.settlement.leaves_in_force import read_trees
    from gateway.settlement.relaying import find_dues, gas_price, relay
    from gateway.settlement.settlement import Contracts, Settlement
    from gateway.settlement.sponsoring import Plan, Terms, plan

    contract = place.own("Settlement", "settlement")
    settlement = Settlement(place.chain, Contracts(**place.contracts), place.key)
    trees = read_trees(place.folder, place.chain, contract)
    purses = (arguments.budget, arguments.sponsor, arguments.percent)
    dues = find_dues(settlement, trees.leaves)
    decided = plan(dues, Terms(gas_price(settlement), arguments.r1_wei, *purses))
    done = relay(settlement, Plan((), ()) if arguments.dry_run else decided, trees)
    spent = [_spent(settlement, tx) for tx in dict.fromkeys(claim.tx for claim in done.claims)]
    return {
        "dry_run": arguments.dry_run,
        "send": [_row(batch) for batch in decided.send],
        "waiting": [_row(batch) for batch in decided.waiting],
        "fees_wei": str(decided.fees_wei),
        "claims": [{**vars(claim), "amount_wei": str(claim.amount_wei)} for claim in done.claims],
        "gas": sum(gas for gas, _ in spent),
        "spent_wei": str(sum(fee_wei for _, fee_wei in spent)),
        "failed": [{"what": batch.what, "deeds": list(batch.deeds), "why": str(why)} for batch, why in done.failed],
    }


def _spent(settlement: "Settlement", tx: str) -> tuple[int, int]:
    """(gas, fee in wei) of a transaction."""
    found = settlement.chain.request("eth_getTransactionReceipt", [tx])
    gas = int(found["gasUsed"], 16)
    return gas, gas * int(found["effectiveGasPrice"], 16)


def _row(batch: "Batch") -> dict[str, Any]:
    amounts = {name: str(value) for name, value in vars(batch).items() if name.endswith("wei")}
    return {"what": batch.what, **vars(batch), **amounts, "deeds": list(batch.deeds)}


def _lines(fields: dict[str, Any]) -> list[str]:
    verb = "would pay" if fields["dry_run"] else "pays"
    lines = [f"{verb}  {_said(row)}; {row['why']}" for row in fields["send"]]
    lines += [f"waits  {_said(row)}; {row['why']}" for row in fields["waiting"]]
    lines += [f"FAILED  {row['what']}: {row['why']}" for row in fields["failed"]]
    if fields["claims"]:
        lines.append(f"spent  {fields['gas']:,} gas, {shown(int(fields['spent_wei']))} of the chain's coin")
    word = "FAILED" if fields["failed"] else "OK"
    paid = sum(int(claim["amount_wei"]) for claim in fields["claims"])
    return [*lines, f"RESULT: {word} claims={len(fields['claims'])} paid_wei={paid}"]


def _said(row: dict[str, Any]) -> str:
    whose = "" if row["kind"] == "account" else f" of {row['owner']}"
    fee = f"{row['gas']:,} gas at most, {shown(int(row['fee_wei']))} of the chain's coin"
    return f"{row['what']}{whose}: {shown(int(row['wei']))} R1 for {fee}"
