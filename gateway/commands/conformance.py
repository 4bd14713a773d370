"""`tinyren conformance`: Ratio1's own rule beside ours on an epoch's heartbeats; changes nothing, pays nobody."""

from argparse import Namespace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive, print_json
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.oracle.availability import Windows
    from gateway.oracle.conformance import Compared

RULE = (
    "Ratio1 adds up the gaps between a node's heartbeats and credits those of 5 to 15 s; here a device answers "
    "windows, each with a beacon that nobody could know before. Both are 0 to 255. Times are this gateway's."
)


def add_conformance(commands: Any) -> None:
    """The command `conformance`."""
    command = commands.add_parser("conformance", help="what Ratio1's own rule makes of an epoch's heartbeats")
    command.add_argument("--epoch", type=positive, required=True, metavar="N", help="number of a closed epoch")
    command.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    command.add_argument("--rpc", metavar="URL", help="the chain to ask (default: the site's own)")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_conformance)


def run_conformance(arguments: Namespace) -> int:
    windows, found = _compare(arguments.site, arguments.epoch, arguments.rpc)
    if arguments.json:
        print_json({"epoch": windows.epoch, "windows": windows.count, "window_ms": windows.window_ms,
                    "rule": RULE, "devices": [_row(device, item) for device, item in found.items()]})  # fmt: skip
    else:
        print(report(windows, found))
    return Exit.OK


def report(windows: "Windows", found: "dict[bytes, Compared]") -> str:
    """The comparison for a terminal of 80 columns."""
    lines = [f"epoch {windows.epoch}: {windows.count} windows of {windows.window_ms} ms", ""]
    lines += ["device                                      heartbeats  ours  Ratio1"]
    rows = [_row(device, item) for device, item in found.items()]
    lines += [f"{row['id']}  {row['heartbeats']:>10}  {row['ours']:>4}  {row['ratio1']:>6}" for row in rows]
    for row in rows:
        for text in row["reasons"]:
            lines += wrap(f"{row['id'][:8]}: {text}", 80, initial_indent="- ", subsequent_indent="  ")
    same = sum(row["ours"] == row["ratio1"] for row in rows)
    return "\n".join([*lines, "", *wrap(RULE, 80), "", f"RESULT: OK same={same} of={len(rows)}"])


def _row(device: bytes, found: "Compared") -> dict[str, Any]:
    from eth_utils.address import to_checksum_address

    from gateway.oracle.conformance import reasons

    fields = {"id": to_checksum_address(device), "ours": found.ours, "ratio1": found.ratio1}
    return {**fields, "heartbeats": found.heartbeats, **found.gaps._asdict(), "reasons": reasons(found)}


def _compare(folder: Path, epoch: int, rpc: str | None) -> "tuple[Windows, dict[bytes, Compared]]":
    """Both rules on the evidence of this gateway, for the devices that were bound when the epoch was closed."""
    from gateway.chain.chain import ChainError
    from gateway.intake import evidence
    from gateway.intake.evidence_file import EvidenceDamaged
    from gateway.oracle import conformance
    from gateway.oracle import epoch as epochs
    from gateway.oracle.availability import EvidenceError
    from gateway.settlement.settlement import Contracts, Settlement
    from gateway.site import site_file
    from gateway.verify.site import chain_of

    site = site_file.read(folder)
    if site is None or not site.contracts:
        raise CommandError(f"{folder}: wanted the folder of a site that `tinyren up` made", Exit.USAGE)
    place = folder / "evidence"
    try:
        windows = epochs.read_windows(place, epoch)
        with chain_of(folder, site, rpc) as chain:
            bound = Settlement(chain, Contracts(**site.contracts)).bindings(windows.block)
        devices = [device for deed in bound.values() for device in deed.devices]
        heartbeats = epochs.read_heartbeats(evidence.read(evidence.heartbeats_path(place, epoch)))
        return windows, conformance.compare(windows, heartbeats, epochs.SignerKeys().is_signed, devices)
    except FileNotFoundError as error:
        last = evidence.last_epoch(place) if place.is_dir() else 0
        what = f"{place}: there is no epoch {epoch}, the last is {last}; name a closed one"
        raise CommandError(what, Exit.NOTHING_TO_DO) from error
    except (EvidenceDamaged, EvidenceError) as error:
        raise CommandError(f"{place}: {error}; wanted a closed epoch", Exit.REFUSED) from error
    except ChainError as error:
        raise CommandError(f"chain: {error}", Exit.CHAIN) from error
