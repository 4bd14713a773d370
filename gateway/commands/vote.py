"""`tinyren vote`: R1 that votes, proposals to govern, and their way through vote, lock and doing. Decides nothing.

deposit ─▶ propose ─▶ (wait) ─▶ cast ─▶ (period) ─▶ queue ─▶ (lock) ─▶ execute
"""

import time
from argparse import ArgumentTypeError, Namespace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import percent, positive
from gateway.commands.contract import (
    SETTLEMENT,
    Fields,
    Place,
    add_payer,
    add_place,
    address,
    amount,
    base_units,
    perform,
    shown,
)
from gateway.commands.deed_sale import SALE, sale_at
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from gateway.settlement.voting import Call, Council, Proposal

COUNCIL = ("council", "the council's contract")
DIGITS = 4


def add_vote(commands: Any) -> None:
    """The command `vote` and its verbs."""
    verbs = commands.add_parser("vote", help="govern a network's parameters by votes of R1").add_subparsers(
        metavar="VERB", required=True
    )
    runs = {"deposit": run_move, "withdraw": run_move, "propose": run_propose, "cast": run_cast}
    runs |= {"queue": run_carry, "execute": run_carry, "show": run_show, "found": run_found}
    for name, what in (
        ("deposit", "turn R1 into votes, which count in later proposals"),
        ("withdraw", "turn votes back into R1, at any time"),
        ("propose", "propose other parameters; what you do not name stays"),
        ("cast", "vote on a proposal"),
        ("queue", "begin the lock of a proposal that won"),
        ("execute", "do what a proposal says, when its lock is over"),
        ("show", "proposals: what they do, votes, and what is next"),
        ("found", "create the council of a site on another chain; an embedded chain has it from the start"),
    ):
        verb = verbs.add_parser(name, help=what)
        if name in ("deposit", "withdraw"):
            verb.add_argument("amount", type=amount, metavar="R1", help="how much")
        elif name not in ("propose", "found"):
            kind = "?" if name == "show" else None
            verb.add_argument(
                "proposal", type=number, nargs=kind, metavar="ID", help="its id, or the first digits of it"
            )
        if name == "cast":
            verb.add_argument("support", choices=("for", "against", "abstain"), help="your vote")
        if name != "show":
            add_payer(verb)
        add_place(verb, *([] if name == "found" else [COUNCIL]), *([SETTLEMENT, SALE] if name == "propose" else []))
        verb.set_defaults(run=runs[name], verb=name)
    _add_parameters(verbs.choices["propose"])
    _add_rules(verbs.choices["found"])


def _add_parameters(propose: Any) -> None:
    propose.add_argument("--why", required=True, metavar="TEXT", help="the reason, which all read and the chain keeps")
    propose.add_argument("--epoch-cap", type=amount, metavar="R1", help="the most that all deeds earn in an epoch")
    propose.add_argument("--delay", type=positive, metavar="S", help="seconds from posting a root until it pays")
    propose.add_argument("--least-oracles", type=positive, metavar="N", help="oracles that an appointment needs")
    propose.add_argument("--guardian", type=address, metavar="0x...", help="who may veto a root that waits")
    propose.add_argument("--rate", type=amount, metavar="R1", help="R1 for a dollar, in the sale of deeds")


def _add_rules(found: Any) -> None:
    found.add_argument("--wait-blocks", type=positive, default=7_200, metavar="N",
                       help="blocks from a proposal until it is voted on (default: 7200)")  # fmt: skip
    found.add_argument("--period-blocks", type=positive, default=50_400, metavar="N",
                       help="blocks of voting (default: 50400)")  # fmt: skip
    found.add_argument("--least-votes", type=amount, default=Decimal(10_000), metavar="R1",
                       help="votes that it takes to propose (default: 10000)")  # fmt: skip
    found.add_argument("--quorum", type=percent, default=10, metavar="P",
                       help="percent of all votes that must be cast (default: 10)")  # fmt: skip
    found.add_argument("--least-quorum", type=amount, default=Decimal(1_000_000), metavar="R1",
                       help="and so many votes at least (default: 1000000)")  # fmt: skip
    found.add_argument("--lock", type=positive, default=172_800, metavar="S",
                       help="seconds from a decision until it is done (default: 172800)")  # fmt: skip


def number(text: str) -> str:
    """An argument that must be a proposal's id or its first digits."""
    if not (text.isascii() and text.isdigit() and len(text) >= DIGITS):
        raise ArgumentTypeError(f"got {text[:80]!r}, wanted at least {DIGITS} digits of an id of `tinyren vote show`")
    return text


def run_move(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        from gateway.chain.chain import address_of

        council, wei = _council(place, arguments), base_units(arguments.amount, "amount")
        owner = address_of(place.payer)
        source = council.r1 if arguments.verb == "deposit" else council.votes
        if (held := int(place.chain.call(source, "balanceOf", owner))) < wei:
            raise CommandError(f"amount: {owner} has {shown(held)}, wanted {shown(wei)}; name less", Exit.REFUSED)
        (council.deposit if arguments.verb == "deposit" else council.withdraw)(wei, place.payer)
        return {"owner": owner, "votes_wei": str(council.votes_of(owner))}

    def lines(fields: Fields) -> list[str]:
        return [f"{fields['owner']} has {shown(int(fields['votes_wei']))} votes", "RESULT: OK"]

    return perform(arguments, do, lines)


def run_propose(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        council = _council(place, arguments)
        calls = _calls(place, arguments, council)
        return {"proposals": [_fields(place, council.propose(calls, arguments.why, place.payer))]}

    return perform(arguments, do, _lines)


def run_cast(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        council = _council(place, arguments)
        found = council.cast(_find(council, arguments.proposal).number, arguments.support, place.payer)
        return {"proposals": [_fields(place, found)]}

    return perform(arguments, do, _lines)


def run_carry(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        council = _council(place, arguments)
        found = _find(council, arguments.proposal)
        if arguments.verb == "execute" and found.state == "queued" and _now_s(place) < found.eta_s:
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.eta_s))
            raise CommandError(f"proposal {found.number}: its lock ends {when}; execute it then", Exit.REFUSED)
        done = (council.queue if arguments.verb == "queue" else council.execute)(found.number, place.payer)
        return {"proposals": [_fields(place, done)]}

    return perform(arguments, do, _lines)


def run_show(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        council = _council(place, arguments)
        found = [_find(council, arguments.proposal)] if arguments.proposal else council.proposals()
        return {"council": council.contract.address, "proposals": [_fields(place, item) for item in found]}

    return perform(arguments, do, _lines)


def run_found(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        from gateway.settlement import council

        least_wei = base_units(arguments.least_votes, "--least-votes")
        quorum = arguments.quorum, base_units(arguments.least_quorum, "--least-quorum")
        rules = council.Rules(arguments.wait_blocks, arguments.period_blocks, least_wei, *quorum, arguments.lock)
        founders = place.chain, place.payer, founder_of(place)
        return {"council": council.found(*founders, place.contracts["settlement"], rules)}

    def lines(fields: Fields) -> list[str]:
        return [f"council {fields['council']}; `tinyren vote deposit` is next", "RESULT: OK"]

    return perform(arguments, do, lines)


def founder_of(place: Place) -> "PrivateKey":
    """The key that creates the council of the site's settlement.

    Raises:
        CommandError: the site is of before councils, or its key is not here.
    """
    from gateway import keys
    from gateway.settlement.council import council_key, timelock_by

    governor, path = place.chain.call(place.own("Settlement", "settlement"), "governor"), council_key(place.folder)
    if path.is_file() and timelock_by(key := keys.load(path)) == governor:
        return key
    what = f"{path}: it is not the key of the council that governs the site, whose timelock is {governor}"
    raise CommandError(f"{what}; a site that was made without a council gets none: make a new one", Exit.REFUSED)


def _council(place: Place, arguments: Namespace) -> "Council":
    from gateway.settlement.council import address_by
    from gateway.settlement.voting import Council

    if arguments.council or not place.contracts:
        return Council(place.chain, place.contract("Council", "council", arguments.council).address)
    address = address_by(founder_of(place))
    if not place.chain.has_code(address):
        raise CommandError(f"{place.folder}: its council is not founded; `tinyren vote found` does it", Exit.REFUSED)
    return Council(place.chain, address)


def _calls(place: Place, arguments: Namespace, council: "Council") -> "list[Call]":
    """What is to be proposed; each contract must be governed by this council.

    Raises:
        CommandError: nothing is named, or a contract is somebody else's.
    """
    from gateway.settlement.voting import Call

    calls, timelock = [], place.chain.call(council.contract, "timelock")
    given = [getattr(arguments, name) for name in ("epoch_cap", "delay", "least_oracles", "guardian")]
    if any(item is not None for item in given):
        settlement = place.contract("Settlement", "settlement", arguments.settlement)
        _check_governor(place.chain.call(settlement, "governor"), timelock, "settlement")
        cap = None if given[0] is None else base_units(given[0], "--epoch-cap")
        now = [place.chain.call(settlement, name) for name in ("epochCap", "delay", "leastOracles", "guardian")]
        wanted = (old if new is None else new for old, new in zip(now, (cap, *given[1:]), strict=True))
        calls.append(Call(settlement, "govern", tuple(wanted)))
    if arguments.rate is not None:
        sale = sale_at(place, arguments.sale).contract
        _check_governor(place.chain.call(sale, "owner"), timelock, "sale")
        calls.append(Call(sale, "setRate", (base_units(arguments.rate, "--rate"),)))
    if not calls:
        what = "nothing to propose; wanted --epoch-cap, --delay, --least-oracles, --guardian or --rate"
        raise CommandError(what, Exit.USAGE)
    return calls


def _check_governor(governor: str, timelock: str, what: str) -> None:
    if governor != timelock:
        got = f"--{what}: it is governed by {governor}, this council's timelock is {timelock}"
        raise CommandError(f"{got}; name the contract of this council", Exit.REFUSED)


def _find(council: "Council", digits: str) -> "Proposal":
    found = [item for item in council.proposals() if str(item.number).startswith(digits)]
    if len(found) != 1:
        what = f"proposal {digits}: {len(found)} ids begin with this"
        raise CommandError(f"{what}; `tinyren vote show` lists them", Exit.NOTHING_TO_DO)
    return found[0]


def _now_s(place: Place) -> int:
    """The newest block's time, by which the lock is counted."""
    return int(place.chain.request("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)


def _fields(place: Place, item: "Proposal") -> Fields:
    from gateway.text import one_line

    return {
        "id": str(item.number),
        "state": item.state,
        "next": _next(item),
        "block": place.chain.block_number(),
        "does": list(item.does),
        "why": one_line(item.why),
        "proposer": item.proposer,
        "votes_wei": {name: str(wei) for name, wei in item.votes_wei.items()},
        "quorum_wei": str(item.quorum_wei),
    }


def _next(item: "Proposal") -> str:
    """What comes next, in words."""
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(item.eta_s))
    return {
        "pending": f"votes are cast from block {item.first} on",
        "active": f"votes are cast until block {item.last}: `tinyren vote cast`",
        "succeeded": "`tinyren vote queue` begins its lock",
        "queued": f"`tinyren vote execute` does it from {when} on",
        "defeated": "nothing: too few votes, or more against than for",
        "executed": "nothing: it is done",
    }.get(item.state, "nothing")


def _lines(fields: Fields) -> list[str]:
    lines = []
    for row in fields["proposals"]:
        votes = ", ".join(f"{shown(int(wei))} {name}" for name, wei in row["votes_wei"].items())
        lines += [
            f"proposal {row['id']}  {row['state']}; {row['next']}",
            f"  why: {row['why']}",
            *(f"  does: {text}" for text in row["does"]),
            f"  votes: {votes}; quorum {shown(int(row['quorum_wei']))}; block {row['block']} now",
        ]
    return [*lines, f"RESULT: OK proposals={len(fields['proposals'])}"]
