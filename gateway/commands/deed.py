"""`tinyren deed`: what a Node Deed is and holds, giving it away, freeing a slot. Moves nothing without its key.

A slot is freed on the chain alone, without the device or a running site.
"""

from argparse import Namespace
from typing import Any

from gateway.commands.arguments import positive
from gateway.commands.contract import (
    DEVICES,
    SETTLEMENT,
    Fields,
    Place,
    add_payer,
    add_place,
    address,
    perform,
    settlement_at,
    shown,
)
from gateway.commands.deed_master import add_master
from gateway.commands.deed_sale import add_sale
from gateway.errors import CommandError, Exit


def add_deed(commands: Any) -> None:
    """The command `deed` and its verbs."""
    verbs = commands.add_parser("deed", help="Node Deeds: show, transfer, free a slot, buy, sell").add_subparsers(
        metavar="VERB", required=True
    )
    show = verbs.add_parser("show", help="a deed's owner, slots, devices and unclaimed R1; without number all deeds")
    show.add_argument("deed", type=positive, nargs="?", metavar="DEED", help="its number (default: all)")
    transfer = verbs.add_parser("transfer", help="give a deed away, with what is unclaimed; unbinds its devices")
    transfer.add_argument("deed", type=positive, metavar="DEED", help="its number")
    transfer.add_argument("--to", type=address, required=True, metavar="0x...", help="the next owner")
    transfer.add_argument("--yes", action="store_true", help="although devices are bound to it")
    free = verbs.add_parser("free", help="free the slot of a device, which may be lost, by the deed's owner")
    free.add_argument("device", type=address, metavar="0x...", help="the device's id")
    for verb, run in ((show, run_show), (transfer, run_transfer), (free, run_free)):
        if verb is not show:
            add_payer(verb)
        add_place(verb, SETTLEMENT, DEVICES)
        verb.set_defaults(run=run)
    add_sale(verbs)
    add_master(verbs)


def run_show(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        from eth_utils.address import to_checksum_address

        settlement = settlement_at(place, arguments)
        deeds = settlement.bindings()
        if arguments.deed and arguments.deed not in deeds:
            what = f"deed {arguments.deed}: there are {len(deeds)}"
            raise CommandError(f"{what}; `tinyren deed show` lists them", Exit.NOTHING_TO_DO)
        numbers = [arguments.deed] if arguments.deed else sorted(deeds)
        earned = dict(_leaves(place, arguments))
        rows = []
        for number in numbers:
            claimed, deed = settlement.claimed(number), deeds[number]
            owner, *devices = (str(to_checksum_address(each)) for each in (deed.owner, *deed.devices))
            row = {"deed": number, "owner": owner, "slots": deed.slots, "devices": devices}
            due = max(0, earned[number] - claimed) if number in earned else None
            rows.append({**row, "claimed_wei": str(claimed), "due_wei": None if due is None else str(due)})
        return {"deeds": rows}

    return perform(arguments, do, _show_lines)


def run_transfer(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        from eth_utils.address import to_checksum_address

        from gateway.chain.chain import Contract, address_of

        settlement, deed = settlement_at(place, arguments), arguments.deed
        found = settlement.deed(deed)
        devices = [str(to_checksum_address(device)) for device in found.devices] if found else []
        if devices and not arguments.yes and not arguments.dry_run:
            what = f"deed {deed}: {len(devices)} devices are bound to it and would be unbound"
            raise CommandError(f"{what}; add --yes if that is meant", Exit.REFUSED)
        move = (address_of(place.payer), arguments.to, deed)
        contract = Contract("NodeDeed", settlement.contracts.deeds)
        receipt = place.chain.send(contract, "transferFrom", *move, key=place.payer)
        return {"deed": deed, "owner": arguments.to, "unbound": devices, "tx": receipt.tx}

    def lines(fields: Fields) -> list[str]:
        said = f"deed {fields['deed']} is {fields['owner']}'s, with what was not claimed of it"
        unbound = [f"{device} is bound to no deed now" for device in fields["unbound"]]
        return [said, *unbound, f"RESULT: OK tx={fields['tx']}"]

    return perform(arguments, do, lines)


def run_free(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        from gateway.chain.chain import Contract

        settlement = settlement_at(place, arguments)
        deed = settlement.deed_of(arguments.device)
        contract = Contract("Devices", settlement.contracts.devices)
        receipt = place.chain.send(contract, "release", arguments.device, key=place.payer)
        return {"device": arguments.device, "deed": deed, "tx": receipt.tx}

    def lines(fields: Fields) -> list[str]:
        said = f"{fields['device']} left deed {fields['deed']}, which has a slot free"
        return [said, "bind it again by `tinyren bind`", f"RESULT: OK tx={fields['tx']}"]

    return perform(arguments, do, lines)


def _leaves(place: Place, arguments: Namespace) -> tuple[tuple[int, int], ...]:
    """(deed, wei earned since the first epoch) by the root in force; nothing where no site keeps them."""
    from gateway.settlement.leaves_in_force import read_trees

    if not place.contracts:
        return ()
    contract = place.contract("Settlement", "settlement", arguments.settlement)
    return read_trees(place.folder, place.chain, contract).leaves.deeds


def _show_lines(fields: Fields) -> list[str]:
    lines = []
    for row in fields["deeds"]:
        due = "" if row["due_wei"] is None else f", {shown(int(row['due_wei']))} R1 not claimed"
        lines.append(f"deed {row['deed']}  {row['owner']}, {len(row['devices'])} of {row['slots']} slots taken{due}")
        lines += [f"  device {device}" for device in row["devices"]]
    return [*lines, f"RESULT: OK deeds={len(fields['deeds'])}"]
