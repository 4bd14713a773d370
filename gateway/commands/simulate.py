"""`tinyren simulate`: years of the economy in seconds, as tables and pictures."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from gateway.commands.arguments import positive, print_json, seed
from gateway.errors import CommandError, Exit

MOST_YEARS = 50


def add_simulate(commands: Any) -> None:
    """The command `simulate`."""
    command = commands.add_parser("simulate", help="years of the economy: supply, burn, earnings of each strategy")
    command.add_argument("--years", type=years, default=4, metavar="Y", help="years of 365 epochs (default: 4)")
    command.add_argument("--deeds", type=positive, default=2000, metavar="N", help="Node Deeds sold (default: 2000)")
    command.add_argument("--seed", type=seed, default=1, metavar="S", help="number of the run (default: 1)")
    command.add_argument("--out", type=Path, metavar="DIR", help="write economy.json, tables and pictures here")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_simulate)


def years(text: str) -> int:
    """An argument that must be a number of years."""
    value = positive(text)
    if value > MOST_YEARS:
        raise ArgumentTypeError(f"got {text!r}, wanted at most {MOST_YEARS} years")
    return value


def run_simulate(arguments: Namespace) -> int:
    from gateway.economy import report
    from gateway.economy.world import simulate

    try:
        world = simulate(arguments.years, arguments.deeds, arguments.seed)
    except ValueError as error:
        raise CommandError(f"--deeds: {error}", Exit.USAGE) from error
    fields = report.as_json(world)
    if arguments.out:
        _write(arguments.out, fields, world)
    if arguments.json:
        print_json(fields)
    else:
        last = world.days[-1]
        print(f"{report.tables(fields)}RESULT: OK epochs={len(world.days)} supply_wei={last.supply_wei}")
    return Exit.OK


def _write(folder: Path, fields: dict[str, Any], world: Any) -> None:
    import json

    from gateway.economy import report

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "economy.json").write_text(json.dumps(fields, indent=1) + "\n")
    (folder / "economy-tables.md").write_text(report.tables(fields))
    for name, text in report.pictures(world).items():
        (folder / name).write_text(text)
