"""`tinyren work`: what devices computed in an epoch, each challenge drawn and each answer run again on this machine."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive, print_json
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.poai.verdict import Checked, Work


def add_work(commands: Any) -> None:
    """The command `work`."""
    command = commands.add_parser("work", help="what devices computed in an epoch, checked again")
    command.add_argument("--epoch", type=positive, required=True, metavar="N", help="number of a closed epoch")
    command.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    command.add_argument("--rpc", metavar="URL", help="the chain to ask (default: the site's own)")
    command.add_argument(
        "--artifact", type=Path, action="append", default=[], metavar="FILE", help="a model beside the shipped ones"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object, every challenge in it")
    command.set_defaults(run=run_work)


def run_work(arguments: Namespace) -> int:
    works, checked = _check(arguments)
    if arguments.json:
        print_json(as_json(arguments.epoch, works, checked))
    else:
        print(report(arguments.epoch, works, checked))
    return Exit.TRUST if any(work.frauds for work in works.values()) else Exit.OK


def _check(arguments: Namespace) -> "tuple[dict[bytes, Work], list[Checked]]":
    from gateway.chain.chain import ChainError
    from gateway.oracle.availability import EvidenceError
    from gateway.oracle.epoch import read_windows
    from gateway.poai import check, models
    from gateway.settlement import agreed
    from gateway.settlement.settlement import Contracts, Settlement
    from gateway.site import site_file
    from gateway.verify.site import Reader, chain_of

    site, folder = site_file.read(arguments.site), arguments.site / "evidence"
    if site is None or not site.contracts:
        raise CommandError(f"{arguments.site}: wanted the folder of a site that `tinyren up` made", Exit.USAGE)
    known = models.load([*models.SHIPPED, *arguments.artifact])
    with chain_of(arguments.site, site, arguments.rpc) as chain:
        try:
            reader = Reader(Settlement(chain, Contracts(**site.contracts)))
            bound = reader.bindings(read_windows(folder, arguments.epoch).block)
            devices = {device for _, _, devices in bound.values() for device in devices}
            sources = agreed.sources(folder, arguments.epoch, agreed.attested(folder, arguments.epoch))
            return check.check_sources(sources, arguments.epoch, reader.block_hash, devices, known)
        except ChainError as error:
            raise CommandError(f"chain: {error}", Exit.CHAIN) from error
        except EvidenceError as error:
            raise CommandError(f"epoch {arguments.epoch}: {error}; `tinyren verify` says more", Exit.TRUST) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}; wanted a closed epoch", Exit.USAGE) from error


def as_json(epoch: int, works: "dict[bytes, Work]", checked: "list[Checked]") -> dict[str, Any]:
    """The result as JSON values; ids are EIP-55, models and windows hex."""
    from gateway.poai.jobs import VERIFIED
    from gateway.verify.read import checksum

    devices = {
        checksum(device): {
            **vars(work),
            "models": {model.hex(): units for model, units in work.models.items()},
            "claimed": work.claimed,
            "units": work.units,
            "sealed": {reader.hex(): units for reader, units in work.sealed.items()},
        }
        for device, work in sorted(works.items())
    }
    challenges = [
        {
            "device": checksum(each.claim.device),
            "window": each.claim.window,
            "model": each.claim.model.hex(),
            "index": each.index,
            "outcome": each.outcome,
            "reason": each.reason,
            "input_sha256": each.window.hex(),
            "reader": each.reader.hex(),
        }
        for each in checked
    ]
    return {"epoch": epoch, "kind": VERIFIED, "devices": devices, "challenges": challenges}


def report(epoch: int, works: "dict[bytes, Work]", checked: "list[Checked]") -> str:
    """The result for a terminal of 80 columns."""
    fields = as_json(epoch, works, checked)
    lines = [f"epoch {epoch}: {len(checked)} inferences were challenged", ""]
    for device, row in fields["devices"].items():
        lines += [
            device,
            f"  units paid {row['units']} of {row['claimed']} claimed; challenged for {row['challenged']}, "
            f"sound {row['answered']}",
        ]
        for reader, units in row["sealed"].items():
            lines.append(f"  sealed to {reader}: {units}, which only that buyer can check")
        if row["repeated"]:
            lines.append(f"  windows shown before: {row['repeated']}")
    lines += [f"FRAUD {row['device']} window {row['window']}: {row['reason']}" for row in _frauds(fields)]
    verdict = "TRUST a device signed what is not so" if _frauds(fields) else "OK"
    return "\n".join([*lines, "", f"RESULT: {verdict} epoch={epoch}"])


def _frauds(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in fields["challenges"] if row["outcome"] == "fraud"]
