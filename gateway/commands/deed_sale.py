"""`tinyren deed sale` and `tinyren deed buy`: selling Node Deeds for R1, at a price that the curve and a vote set."""

from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive
from gateway.commands.contract import (
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
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.settlement.sale import Sale

SALE = ("sale", "the contract that sells deeds (default: the site's)")
MOST_SLOTS = 65_535


def add_sale(verbs: Any) -> None:
    """The verbs `buy`, `sale open` and `sale show` of `deed`."""
    buy = verbs.add_parser("buy", help="buy the next deeds of a sale for R1; --dry-run says what they cost")
    buy.add_argument("count", type=positive, metavar="COUNT", help="how many, 100 at most at once")
    buy.add_argument("--most", type=amount, required=True, metavar="R1", help="the most that you pay for all of them")
    add_payer(buy)
    add_place(buy, SALE)
    buy.set_defaults(run=run_buy)
    inner = verbs.add_parser("sale", help="sell a site's further deeds for R1").add_subparsers(
        metavar="VERB", required=True
    )
    opened = inner.add_parser("open", help="let a sale create all further deeds, for good; a vote sets the rate")
    opened.add_argument(
        "--liquidity", type=address, required=True, metavar="0x...", help="who gets 50 %% of each price"
    )
    opened.add_argument(
        "--company", type=address, required=True, metavar="0x...", help="who gets 30 %%; 20 %% is burned"
    )
    opened.add_argument(
        "--slots", type=slots, default=1, metavar="N", help="slots of each deed that is sold (default: 1)"
    )
    add_payer(opened)
    add_place(opened)
    opened.set_defaults(run=run_open)
    show = inner.add_parser("show", help="the rate, how many are sold, what the next deeds cost")
    add_place(show, SALE)
    show.set_defaults(run=run_show)


def slots(text: str) -> int:
    """An argument that must be a deed's number of slots."""
    value = positive(text)
    if value > MOST_SLOTS:
        raise ArgumentTypeError(f"got {text!r}, wanted 1 to {MOST_SLOTS}")
    return value


def run_open(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        from gateway.chain.chain import address_of
        from gateway.commands.vote import founder_of
        from gateway.settlement.council import timelock_by
        from gateway.settlement.sale import Terms, open_sale, owner_of

        deeds, r1 = place.own("NodeDeed", "deeds").address, place.own("R1", "r1").address
        owner, is_sale = owner_of(place.chain, deeds)
        if is_sale:
            what = f"the deeds are sold by {owner} already"
            raise CommandError(f"{what}; `tinyren deed sale show` tells of it", Exit.NOTHING_TO_DO)
        if owner != address_of(place.payer):
            what = f"--key: deeds are created by {owner}, got the key of {address_of(place.payer)}"
            raise CommandError(f"{what}; a site's is {place.folder}/keys/deployer.key", Exit.REFUSED)
        terms = Terms(arguments.slots, arguments.liquidity, arguments.company, timelock_by(founder_of(place)))
        return {"sale": open_sale(place.chain, place.payer, deeds, r1, terms), "governor": terms.governor}

    def lines(fields: Fields) -> list[str]:
        return [
            f"sale {fields['sale']} creates all further deeds; the gateway creates none any more",
            "nothing is on sale until a vote sets the rate: `tinyren vote propose --rate`",
            f"RESULT: OK sale={fields['sale']}",
        ]

    return perform(arguments, do, lines)


def run_show(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        sale = sale_at(place, arguments.sale)
        sold, rate_wei = sale.sold, sale.rate_wei
        return {
            "sale": sale.contract.address,
            "sold": sold,
            "rate_wei": str(rate_wei),
            "dollars_next": _dollars(sold),
            "price_next_wei": str(sale.price(1)) if rate_wei else None,
        }

    def lines(fields: Fields) -> list[str]:
        if not fields["dollars_next"]:
            said = "all deeds are sold"
        elif fields["price_next_wei"] is None:
            said = f"the next costs {fields['dollars_next']:,} dollars; none is sold until a vote sets the rate"
        else:
            price, rate = (shown(int(fields[name])) for name in ("price_next_wei", "rate_wei"))
            said = f"the next costs {fields['dollars_next']:,} dollars, {price} R1 at {rate} R1 a dollar"
        return [f"sale {fields['sale']}: {fields['sold']:,} sold; {said}", "RESULT: OK"]

    return perform(arguments, do, lines)


def run_buy(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        sale = sale_at(place, arguments.sale)
        price, most = sale.price(arguments.count), base_units(arguments.most, "--most")
        if price == 0:
            raise CommandError("nothing is on sale: no vote has set a rate yet", Exit.REFUSED)
        if price > most:
            what = f"--most: {arguments.count} deeds cost {shown(price)} R1 now, got {shown(most)}"
            raise CommandError(f"{what}; name more, or buy fewer", Exit.REFUSED)
        deeds = sale.buy(arguments.count, most, place.payer)
        return {"deeds": deeds, "price_wei": str(price)}

    def lines(fields: Fields) -> list[str]:
        numbers = ", ".join(map(str, fields["deeds"]))
        return [f"deeds {numbers} for {shown(int(fields['price_wei']))} R1", f"RESULT: OK deeds={len(fields['deeds'])}"]

    return perform(arguments, do, lines)


def sale_at(place: Place, given: str | None) -> "Sale":
    """The sale at the address that was given, or the site's.

    Raises:
        CommandError: the site has none, or no contract is at that address.
    """
    from gateway.settlement.sale import Sale, owner_of

    if given or not place.contracts:
        return Sale(place.chain, place.contract("Sale", "sale", given).address)
    owner, is_sale = owner_of(place.chain, place.own("NodeDeed", "deeds").address)
    if not is_sale:
        what = f"{place.folder}: its deeds are not on sale"
        raise CommandError(f"{what}; `tinyren deed sale open` begins it, or name another by --sale", Exit.REFUSED)
    return Sale(place.chain, owner)


def _dollars(sold: int) -> int:
    """What the next deed costs, in US dollars; 0 when all are sold."""
    from gateway.economy import curves

    return curves.cost(sold, 1) if sold < curves.NODE_DEEDS else 0
