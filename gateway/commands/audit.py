"""`tinyren audit` and `tinyren evidence`: an epoch rebuilt from the chain and R1FS, and what makes that possible."""

import tempfile
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive, print_json, readable
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.chain.chain import Chain


def add_audit(commands: Any) -> None:
    """The commands `audit` and `evidence`."""
    audit = commands.add_parser("audit", help="rebuild an epoch from the chain and R1FS alone, trusting no gateway")
    audit.add_argument("--epoch", type=positive, required=True, metavar="N", help="number of a settled epoch")
    audit.add_argument("--rpc", metavar="URL", required=True, help="a node whose word on the chain you take")
    audit.add_argument("--settlement", type=address, required=True, metavar="0x...", help="the settlement's contract")
    audit.add_argument("--devices", type=address, required=True, metavar="0x...", help="the devices' contract")
    audit.add_argument("--escrow", type=address, metavar="0x...", help="the escrow's, if it has paid jobs")
    audit.add_argument("--r1fs", action="append", default=[], metavar="URL", help="a gateway that lends; repeatable")
    audit.add_argument("--car", type=readable, action="append", default=[], metavar="FILE",
                       help="evidence as a CAR file; repeatable")  # fmt: skip
    audit.add_argument("--index", action="append", default=[], metavar="CID",
                       help="an epoch's folder, for files over 256 KiB; repeatable")  # fmt: skip
    audit.add_argument("--json", action="store_true", help="print one JSON object")
    audit.set_defaults(run=run_audit)
    verbs = commands.add_parser("evidence", help="lend an epoch's evidence to auditors").add_subparsers(
        metavar="VERB", required=True
    )
    lend = verbs.add_parser("lend", help="keep an epoch's evidence in the site's R1FS; prints its CIDs")
    lend.add_argument("--epoch", type=positive, required=True, metavar="N", help="number of a closed epoch")
    lend.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    lend.add_argument("-o", "--out", type=Path, metavar="OUT.car", help="also write it as a CAR file")
    lend.add_argument("--json", action="store_true", help="print one JSON object")
    lend.set_defaults(run=run_lend)


def address(text: str) -> str:
    """An argument that must be an address; its EIP-55 form."""
    from eth_utils.address import is_address, to_checksum_address

    if not is_address(text):
        raise ArgumentTypeError(f"got {text[:60]!r}, wanted an address, 0x and 40 hex digits")
    return str(to_checksum_address(text))


def run_audit(arguments: Namespace) -> int:
    from gateway.audit.audit import Asked, NotSettled, audit, find
    from gateway.audit.evidence import NotHad
    from gateway.chain.chain import ChainError
    from gateway.storage.embedded import Embedded
    from gateway.storage.errors import StoreError
    from gateway.storage.peers import HttpPeer
    from gateway.verify.report import as_json, report

    with tempfile.TemporaryDirectory(prefix="tinyren-audit-") as scratch, _chain(arguments.rpc) as chain:
        try:
            peers = [HttpPeer(url) for url in arguments.r1fs]
            with closing(Embedded(Path(scratch) / "r1fs", peers)) as store:
                indexes = [*arguments.index, *_import(store, arguments.car)]
                settlement = find(chain, Asked(arguments.settlement, arguments.devices, arguments.escrow or ""))
                result = audit(settlement, arguments.epoch, store, indexes, Path(scratch))
        except NotSettled as error:
            raise CommandError(str(error), Exit.NOTHING_TO_DO) from error
        except ChainError as error:
            raise CommandError(f"chain: {error}", Exit.CHAIN) from error
        except StoreError as error:
            raise CommandError(f"r1fs: {error}", Exit.USAGE) from error
        except NotHad as error:
            raise CommandError(str(error)) from error
    print(as_json(result) if arguments.json else report(result))
    return result.exit_code


def _import(store: Any, files: list[Path]) -> list[str]:
    roots = []
    for path in files:
        with path.open("rb") as file:
            roots += store.import_car(file)
    return roots


@contextmanager
def _chain(url: str) -> Iterator["Chain"]:
    from gateway.chain import chain as chains

    try:
        chain = chains.connect(url)
    except chains.ChainError as error:
        raise CommandError(f"chain: {error}", Exit.CHAIN) from error
    with closing(chain):
        yield chain


def run_lend(arguments: Namespace) -> int:
    from gateway.audit.evidence import lend
    from gateway.intake import evidence
    from gateway.intake.evidence_file import EvidenceDamaged
    from gateway.oracle import epoch as epochs
    from gateway.oracle.availability import EvidenceError
    from gateway.storage.cid import RAW, cid_from, encode_text
    from gateway.storage.embedded import Embedded
    from gateway.storage.errors import StoreError
    from gateway.storage.folders import write_whole

    folder = arguments.site / "evidence"
    try:
        epochs.read_windows(folder, arguments.epoch)
        with closing(Embedded(arguments.site / "r1fs")) as store:
            index = lend(store, folder, arguments.epoch)
            if arguments.out:
                write_whole(arguments.out, store.export_car(index))
    except (EvidenceDamaged, EvidenceError) as error:
        raise CommandError(f"{folder}: {error}; wanted a closed epoch", Exit.REFUSED) from error
    except StoreError as error:
        raise CommandError(f"r1fs: {error}") from error
    found = {"index": index, "list": encode_text(cid_from(evidence.digest(folder, arguments.epoch), RAW))}
    if arguments.json:
        print_json({"epoch": arguments.epoch, **found, "out": str(arguments.out) if arguments.out else None})
    else:
        print(f"epoch {arguments.epoch}: list {found['list']}\nRESULT: OK index={index}")
    return Exit.OK
