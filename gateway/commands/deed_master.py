"""`tinyren deed master show`: what a Master Node Deed earns by Ratio1's published curve. It pays nothing.

No oracle of this version attests Master Node Deeds, so nobody can claim for one; contracts/src/MasterDeed.sol creates
them and knows the same curve.
"""

from argparse import ArgumentTypeError, Namespace
from decimal import Decimal
from typing import Any

from gateway.commands.arguments import positive, print_json
from gateway.commands.contract import DECIMALS, Fields, Place, add_place, amount, base_units, perform, shown
from gateway.errors import CommandError, Exit

STEP = 90
USDC_DECIMALS = 6
MASTERS = ("masters", "the contract of Master Node Deeds")


def add_master(verbs: Any) -> None:
    """The verb `master show` of `deed`."""
    inner = verbs.add_parser("master", help="Master Node Deeds: what one earns by the curve").add_subparsers(
        metavar="VERB", required=True
    )
    show = inner.add_parser("show", help="what a Master Node Deed earns by the published curve, in 900 epochs")
    which = show.add_mutually_exclusive_group(required=True)
    which.add_argument("--assigned", type=amount, metavar="R1", help="one that is to earn so much in all")
    which.add_argument("--deed", type=positive, metavar="N", help="this one of the contract of --masters")
    show.add_argument("--availability", type=availability, default=255, metavar="A",
                      help="0 to 255, in each epoch (default: 255)")  # fmt: skip
    show.add_argument("--sold", type=positive, default=7_500, metavar="N",
                      help="Node Deeds sold, half of adoption (default: 7500)")  # fmt: skip
    show.add_argument("--usdc", type=amount, default=Decimal(5_000_000), metavar="USDC",
                      help="paid for work, its other half (default: 5000000)")  # fmt: skip
    add_place(show, MASTERS)
    show.set_defaults(run=run_show)


def availability(text: str) -> int:
    """An argument that must be an availability."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 256
    if value > 255:
        raise ArgumentTypeError(f"got {text[:60]!r}, wanted 0 to 255")
    return value


def run_show(arguments: Namespace) -> int:
    if arguments.deed is None:
        fields = _fields(arguments, base_units(arguments.assigned, "--assigned"))
        print_json(fields) if arguments.json else print("\n".join(_lines(fields)))
        return Exit.OK

    def do(place: Place) -> Fields:
        contract = place.contract("MasterDeed", "masters", arguments.masters)
        assigned_wei = int(place.chain.call(contract, "assignedTo", arguments.deed))
        if not assigned_wei:
            what = f"--deed: got {arguments.deed}, there are {place.chain.call(contract, 'count')}"
            raise CommandError(f"{what}; name one of them", Exit.NOTHING_TO_DO)
        return _fields(arguments, assigned_wei)

    return perform(arguments, do, _lines)


def _fields(arguments: Namespace, assigned_wei: int) -> Fields:
    """What a deed of so many wei earns in each STEP-th epoch, and until then.

    Raises:
        CommandError: there are not so many Node Deeds, or so much R1.
    """
    from gateway.economy import curves

    if arguments.sold > curves.NODE_DEEDS:
        raise CommandError(f"--sold: got {arguments.sold}, wanted {curves.NODE_DEEDS} at most", Exit.USAGE)
    if assigned_wei > curves.MASTER_POOL:
        what = f"--assigned: got {shown(assigned_wei)} R1, wanted {shown(curves.MASTER_POOL)} at most"
        raise CommandError(f"{what}, which is for all Master Node Deeds", Exit.USAGE)
    adopted = curves.adoption(arguments.sold, base_units(arguments.usdc, "--usdc", USDC_DECIMALS))
    epochs, earned_wei = [], 0
    for epoch in range(curves.MASTER_LAST_EPOCH + 1):
        wei = curves.master_reward(assigned_wei, epoch, arguments.availability, adopted, earned_wei)
        earned_wei += wei
        if epoch % STEP == 0:
            epochs.append({"epoch": epoch, "wei": str(wei), "earned_wei": str(earned_wei)})
    given = {"assigned_wei": str(assigned_wei), "availability": arguments.availability, "adoption_e18": str(adopted)}
    return {**given, "epochs": epochs}


def _lines(fields: Fields) -> list[str]:
    adopted = f"{int(fields['adoption_e18']) / 10**16:.2f} %"
    first = (
        f"of {shown(int(fields['assigned_wei']))} R1, available {fields['availability']} of 255, adoption {adopted}:"
    )
    rows = [
        f"epoch {row['epoch']:>3}: {_r1(row['wei'])} R1, {_r1(row['earned_wei'])} in all" for row in fields["epochs"]
    ]
    note = "this is the published curve; oracles of this version attest no Master Node Deed, so none is paid"
    return [first, *rows, note, "RESULT: OK"]


def _r1(wei: str) -> str:
    return f"{Decimal(wei).scaleb(-DECIMALS):,.6f}"
