"""What a simulation came to, as JSON values, Markdown tables and pictures; computes no reward."""

from typing import Any

from gateway.economy.curves import CAP, R1
from gateway.economy.strategies import BUYERS, HONEST
from gateway.economy.world import EPOCHS_A_YEAR, UNIT_WEI, Day, Group, World
from models.plot import line_chart

POINTS = 120
MILLION = 10**6 * R1


def as_json(world: World) -> dict[str, Any]:
    """Amounts are decimal strings of wei; `percent_of_honest` compares a deed's epoch with an honest one's."""
    honest = next(group for group in world.groups if group.strategy is HONEST)
    return {
        "years": world.years,
        "deeds": world.deeds,
        "seed": world.seed,
        "epochs": len(world.days),
        "strategies": [_strategy(group, honest, len(world.days)) for group in world.groups],
        "buyers": [_buyer(buyer.name, buyer.what, world.units[buyer.name]) for buyer in BUYERS],
        "by_year": [_day(day) for day in world.days[EPOCHS_A_YEAR - 1 :: EPOCHS_A_YEAR]],
    }


def _strategy(group: Group, honest: Group, days: int) -> dict[str, Any]:
    strategy, epochs = group.strategy, max(1, group.deed_epochs)
    total, normal = sum(group.earned) + group.work_wei, sum(honest.earned) + honest.work_wei
    return {
        "name": strategy.name,
        "what": strategy.what,
        "deeds": len(group.earned),
        "devices": len(group.earned) * strategy.devices,
        "availability": round(group.availability_sum / epochs, 1),
        "earned_wei": str(sum(group.earned)),
        "work_wei": str(group.work_wei),
        "lost_wei": str(group.lost_wei),
        "caught": group.caught,
        "deed_epoch_wei": str(total // epochs),
        "device_epoch_wei": str(total // epochs // strategy.devices),
        "claimed_wei": str(group.claimed_wei(days)),
        "percent_of_honest": round(100 * total * max(1, honest.deed_epochs) / (epochs * max(1, normal)), 1),
    }


def _buyer(name: str, what: str, units: int) -> dict[str, Any]:
    afterwards = 0 if name == "cheating" else units
    amounts = {"paid_wei": str(units * UNIT_WEI), "afterwards_wei": str(afterwards * UNIT_WEI)}
    return {"name": name, "what": what, "units": units, **amounts}


def _day(day: Day) -> dict[str, Any]:
    amounts = {name: str(value) for name, value in vars(day).items() if name.endswith("_wei")}
    totals = {"minted_wei": str(day.minted_wei), "supply_wei": str(day.supply_wei)}
    return {"year": (day.epoch + 1) // EPOCHS_A_YEAR, "deeds": day.deeds, **amounts, **totals}


def tables(fields: dict[str, Any]) -> str:
    """The three tables in Markdown, from what as_json gave."""
    lines = [
        "| strategy | deeds | devices | availability | R1 a deed and epoch | a device | of honest "
        "| for availability, of what it claims | caught |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in fields["strategies"]:
        deeds = max(1, row["deeds"])
        amounts = f"{_r1(int(row['earned_wei']) // deeds)} of {_r1(int(row['claimed_wei']) // deeds)}"
        lines.append(
            f"| {row['name']}: {row['what']} | {row['deeds']:,} | {row['devices']:,} | {row['availability']} | "
            f"{_r1(row['deed_epoch_wei'], 4)} | {_r1(row['device_epoch_wei'], 4)} | {row['percent_of_honest']} % | "
            f"{amounts} | {row['caught']:,} |"
        )
    lines += ["", "| buyer | units of work got | R1 paid from deposits | if it paid afterwards |", "|---|---|---|---|"]
    for row in fields["buyers"]:
        amounts = f"{_r1(row['paid_wei'])} | {_r1(row['afterwards_wei'])}"
        lines.append(f"| {row['name']}: {row['what']} | {row['units']:,} | {amounts} |")
    heads = ("year", "deeds", "Node Deeds", "Genesis", "Master", "minted", "burned by sales", "by work", "supply")
    lines += ["", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    names = ("node_wei", "genesis_wei", "master_wei", "minted_wei", "burned_sale_wei", "burned_work_wei", "supply_wei")
    for row in fields["by_year"]:
        lines.append(f"| {row['year']} | {row['deeds']:,} | {' | '.join(_r1(row[name]) for name in names)} |")
    return "\n".join(lines) + "\n"


def pictures(world: World) -> dict[str, str]:
    """SVG by file name."""
    days = world.days[:: max(1, len(world.days) // POINTS)]
    at = [float(day.epoch) for day in days]
    supply = {
        "minted": list(zip(at, (day.minted_wei / MILLION for day in days), strict=True)),
        "supply": list(zip(at, (day.supply_wei / MILLION for day in days), strict=True)),
    }
    burned = {
        "by sales": list(zip(at, (day.burned_sale_wei / R1 / 1000 for day in days), strict=True)),
        "by work": list(zip(at, (day.burned_work_wei / R1 / 1000 for day in days), strict=True)),
    }
    means = {
        group.strategy.name: list(zip(at, (day.means[index] / 100 for day in days), strict=True))
        for index, group in enumerate(world.groups)
    }
    most = CAP / MILLION
    return {
        "economy-supply.svg": line_chart(f"R1 minted and left, of {most:.0f} million", "epoch", "million R1", supply),
        "economy-burn.svg": line_chart("R1 burned", "epoch", "thousand R1", burned),
        "economy-earnings.svg": line_chart("R1 for availability, mean of a device", "epoch", "hundred R1", means),
    }


def _r1(wei: str | int, decimals: int = 0) -> str:
    """Wei as R1, rounded down."""
    scaled = int(wei) // 10 ** (18 - decimals)
    return f"{scaled / 10**decimals:,.{decimals}f}" if decimals else f"{scaled:,}"
