"""`tinyren account`: all deeds of an owner paid to one account, in one claim however many. Decides no reward."""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

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
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.settlement.accounts import Accounts
    from gateway.settlement.settlement import Settlement


def add_account(commands: Any) -> None:
    """The command `account` and its verbs."""
    verbs = commands.add_parser("account", help="one account, and one claim, for all deeds of an owner").add_subparsers(
        metavar="VERB", required=True
    )
    choose = verbs.add_parser("set", help="choose where rewards of all your deeds go, from the next epoch on")
    choose.add_argument("where", choices=("account", "deeds"), metavar="account|deeds",
                        help="account: all to one, which stays yours; deeds: to each deed, sold with it")  # fmt: skip
    show = verbs.add_parser("show", help="what an owner chose, earned, was paid and is due")
    claim = verbs.add_parser("claim", help="have an owner's account paid; anybody may, the owner alone is paid")
    for verb in (show, claim):
        verb.add_argument("owner", type=address, metavar="0x...", help="the owner's address")
    for verb, run in ((choose, run_set), (show, run_show), (claim, run_claim)):
        if verb is not show:
            add_payer(verb)
        add_place(verb, SETTLEMENT, *([DEVICES] if verb is show else []))
        verb.set_defaults(run=run)


def run_set(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        from gateway.chain.chain import address_of

        settlement, owner = settlement_at(place, arguments), address_of(place.payer)
        _accounts(settlement).choose(arguments.where == "account", place.payer)
        return {"owner": owner, "where": arguments.where, "from_epoch": settlement.epoch() + 2}

    def lines(fields: Fields) -> list[str]:
        where = "to one account" if fields["where"] == "account" else "to each deed"
        said = f"from epoch {fields['from_epoch']} on, rewards of all deeds of {fields['owner']} go {where}"
        return [said, "what was earned before stays where it is", f"RESULT: OK from_epoch={fields['from_epoch']}"]

    return perform(arguments, do, lines)


def run_show(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        settlement, owner = settlement_at(place, arguments), arguments.owner
        accounts, running, raw = _accounts(settlement), settlement.epoch() + 1, bytes.fromhex(owner[2:])
        fields: Fields = {
            "owner": owner,
            "epoch": running,
            "is_paid_to_account": raw in accounts.chosen([raw], running),
            "is_paid_to_account_next": raw in accounts.chosen([raw], running + 1),
            "claimed_wei": str(accounts.claimed(owner)),
            "balance_wei": str(settlement.balance(owner)),
            "deeds": sorted(number for number, deed in settlement.bindings().items() if deed.owner == raw),
        }
        if place.contracts:
            earned, _ = _leaf(place, arguments)
            fields |= {"earned_wei": str(earned), "due_wei": str(max(0, earned - int(fields["claimed_wei"])))}
        return fields

    return perform(arguments, do, _show_lines)


def run_claim(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        settlement, owner = settlement_at(place, arguments), arguments.owner
        earned, proof = _leaf(place, arguments)
        if not earned:
            what = f"the account of {owner} has earned nothing by the root in force"
            raise CommandError(f"{what}; `tinyren account show {owner}` says what it chose", Exit.NOTHING_TO_DO)
        claim = _accounts(settlement).claim(owner, earned, proof)
        return {"owner": owner, "earned_wei": str(earned), "paid_wei": str(claim.amount_wei if claim else 0)}

    def lines(fields: Fields) -> list[str]:
        paid = f"{shown(int(fields['paid_wei']))} R1 paid to {fields['owner']}"
        nothing = ["all of it was paid before"] if fields["paid_wei"] == "0" else []
        return [paid, *nothing, f"RESULT: OK paid_wei={fields['paid_wei']}"]

    return perform(arguments, do, lines)


def _accounts(settlement: "Settlement") -> "Accounts":
    from gateway.settlement.accounts import Accounts

    return Accounts(settlement)


def _leaf(place: Place, arguments: Namespace) -> tuple[int, list[bytes]]:
    """What the account earned since the first epoch, and the proof of it; 0 if it has no leaf."""
    from gateway.settlement.leaves_in_force import read_trees

    contract = place.contract("Settlement", "settlement", arguments.settlement)
    try:
        return read_trees(place.folder, place.chain, contract).account(bytes.fromhex(arguments.owner[2:]))
    except KeyError:
        return 0, []


def _show_lines(fields: Fields) -> list[str]:
    where = {True: "go to one account", False: "go to each deed"}
    now, after = fields["is_paid_to_account"], fields["is_paid_to_account_next"]
    change = f", from epoch {fields['epoch'] + 1} on they {where[after]}" if now != after else ""
    lines = [
        f"owner {fields['owner']}: {shown(int(fields['balance_wei']))} R1",
        f"deeds {', '.join(map(str, fields['deeds'])) or 'none'}",
        f"rewards of epoch {fields['epoch']}, which runs, {where[now]}{change}",
    ]
    if "due_wei" in fields:
        amounts = [shown(int(fields[name])) for name in ("earned_wei", "claimed_wei", "due_wei")]
        lines.append("account: {} R1 earned, {} claimed, {} due".format(*amounts))
    else:
        lines.append(f"account: {shown(int(fields['claimed_wei']))} R1 claimed; name --site for what is due")
    return [*lines, "RESULT: OK"]
