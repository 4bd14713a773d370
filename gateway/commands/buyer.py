"""`tinyren buyer`: a buyer's key, the audit of work sealed to it, and proofs of what was a lie. Shows no window.

Exit codes: 0 all that was opened is right; 2 usage; 3 the gateway refuses; 5 nothing is sealed to this key; 8 a device
signed what is not so.
"""

import json
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive, print_json, readable
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from gateway.poai.audit import Audited, Item
    from gateway.poai.models import Models

POLL_S = 5
PAUSE_LOOKS = 9  # at least so many times as long as a look took: an epoch's evidence grows, and each look reads it all
PROOF = "a device signed what is not so"


def add_buyer(commands: Any) -> None:
    """The command `buyer` and its verbs."""
    verbs = commands.add_parser("buyer", help="check work that only you may see").add_subparsers(
        metavar="VERB", required=True
    )
    key = verbs.add_parser("key", help="your public key, made first if there is none: name it to who works for you")
    key.set_defaults(run=run_key)
    audit = verbs.add_parser("audit", help="open what was sealed to you and run the model again on all of it")
    audit.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    audit.add_argument("--gateway", metavar="URL", help="a gateway's page elsewhere, in place of --site")
    audit.add_argument("--epoch", type=positive, metavar="N", help="an epoch of the site (default: the newest)")
    audit.add_argument("--out", type=Path, metavar="DIR", help="write a proof of each fraud here")
    audit.add_argument("--publish", action="store_true",
                       help="tell the gateway of each fraud while its epoch is open: the oracles count it")  # fmt: skip
    audit.add_argument(
        "--follow",
        action="store_true",
        help=f"again each {POLL_S} s, seldomer where a look takes long, until interrupted",
    )
    audit.set_defaults(run=run_audit)
    check = verbs.add_parser("check", help="check a proof that a buyer wrote, trusting nobody")
    check.add_argument("proof", type=readable, metavar="PROOF", help="the file")
    check.set_defaults(run=run_check)
    for verb in (key, audit):
        verb.add_argument("--key", type=Path, default=Path("buyer.key"), metavar="FILE",
                          help="your secret key (default: %(default)s)")  # fmt: skip
    for verb in (audit, check):
        verb.add_argument("--artifact", type=Path, action="append", default=[], metavar="FILE",
                          help="a model beside the shipped ones; repeatable")  # fmt: skip
        verb.add_argument("--json", action="store_true", help="print one JSON object")


def run_key(arguments: Namespace) -> int:
    from gateway.keys import load_or_make

    public_key = load_or_make(arguments.key).public_key.format().hex()
    print(public_key)
    return Exit.OK


def run_audit(arguments: Namespace) -> int:
    from gateway.poai import models

    key, known = _key(arguments.key), models.load([*models.SHIPPED, *arguments.artifact])
    told: dict[str, Any] = {}
    while True:
        began = time.monotonic()
        try:
            fields = _audit(arguments, key, known)
        except CommandError as error:
            if not arguments.follow or error.code == Exit.USAGE:
                raise
            print(f"tinyren: {error}; trying again", file=sys.stderr, flush=True)
        else:
            if fields != told:
                _tell(arguments, fields)
            if not arguments.follow:
                return _code(fields)
            told = fields
        time.sleep(max(POLL_S, PAUSE_LOOKS * (time.monotonic() - began)))


def _audit(arguments: Namespace, key: "PrivateKey", known: "Models") -> dict[str, Any]:
    """One look at an epoch: what was opened, after its frauds were written and told as the arguments ask."""
    from gateway.oracle.epoch import SignerKeys
    from gateway.poai.audit import audit

    epoch, items = _items(arguments, key.public_key.format())
    found = audit(items, SignerKeys().is_signed, known, key)
    told = {each.sealed.digest for each in audit(items, SignerKeys().is_signed, known)}
    files, published, refused = [], 0, []
    for each in found:
        if each.fault:
            opening = _opening(each, key)
            if arguments.out:
                files.append(str(_write(arguments.out, epoch, each, opening)))
            if arguments.publish and each.sealed.digest not in told:
                try:
                    _publish(arguments, opening)
                    published += 1
                except CommandError as error:
                    refused.append(str(error))
    fields = {"epoch": epoch, "reader": key.public_key.format().hex(), "answers": [_row(each) for each in found]}
    return {**fields, "proofs": files, "published": published, "not_published": refused}


def _tell(arguments: Namespace, fields: dict[str, Any]) -> None:
    if arguments.json:
        print_json(fields)
    else:
        print("\n".join(_lines(fields)), flush=True)


def _code(fields: dict[str, Any]) -> int:
    if not fields["answers"]:
        return Exit.NOTHING_TO_DO
    return Exit.TRUST if any(row["outcome"] == "fraud" for row in fields["answers"]) else Exit.OK


def run_check(arguments: Namespace) -> int:
    from gateway.oracle.epoch import SignerKeys
    from gateway.poai import models
    from gateway.poai.audit import audit

    try:
        frames = [bytes.fromhex(frame) for frame in json.loads(arguments.proof.read_text())["frames"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        what = f"{arguments.proof}: wanted a proof that `tinyren buyer audit --out DIR` wrote"
        raise CommandError(what, Exit.USAGE) from None
    known = models.load([*models.SHIPPED, *arguments.artifact])
    found = [each for each in audit([(0, frame) for frame in frames], SignerKeys().is_signed, known) if each.fault]
    if not found:
        raise CommandError(f"{arguments.proof}: it proves nothing: no opened answer in it is wrong", Exit.TRUST)
    rows = [_row(each) for each in found]
    if arguments.json:
        print_json({"frauds": rows})
    else:
        print("\n".join([*(_fraud(row) for row in rows), f"RESULT: OK {PROOF}"]))
    return Exit.OK


def _key(path: Path) -> "PrivateKey":
    from gateway.keys import load

    try:
        return load(path)
    except FileNotFoundError:
        raise CommandError(f"{path}: there is no key; `tinyren buyer key --key {path}` makes one", Exit.USAGE) from None


def _items(arguments: Namespace, reader: bytes) -> "tuple[int, list[Item]]":
    """(epoch, what devices signed in it), from a gateway or from the folder of a site."""
    from gateway.intake import evidence
    from gateway.poai.reader_client import fetch

    if arguments.gateway and arguments.epoch:
        raise CommandError("--epoch: a gateway tells of the epoch that runs only; wanted it with --site", Exit.USAGE)
    if arguments.gateway:
        return fetch(arguments.gateway, reader)
    folder = arguments.site / "evidence"
    epoch = arguments.epoch or (evidence.last_epoch(folder) if folder.is_dir() else 0)
    items: list[Item] = []
    try:
        for item in evidence.read(evidence.heartbeats_path(folder, epoch)):
            items.append(item)
    except evidence.EvidenceDamaged:  # it is being written; what is whole was read
        return epoch, items
    except FileNotFoundError:
        which = f"of epoch {arguments.epoch}" if arguments.epoch else "yet"
        what = f"{arguments.site}: there is no evidence {which}; wanted a site that ran, or --gateway URL"
        raise CommandError(what, Exit.USAGE) from None
    return epoch, items


def _publish(arguments: Namespace, opening: bytes) -> None:
    from gateway.poai.reader_client import publish
    from gateway.site import site_file

    url = arguments.gateway
    if url is None:
        site = site_file.read(arguments.site)
        if site is None:
            raise CommandError(f"{arguments.site}: wanted the folder of a site, or --gateway URL", Exit.USAGE)
        url = f"http://127.0.0.1:{site.page_port}"
    publish(url, opening)


def _opening(found: "Audited", key: "PrivateKey") -> bytes:
    from gateway.poai.private import sign_opening

    return sign_opening(found.sealed, key, os.urandom(32))


def _write(folder: Path, epoch: int, found: "Audited", opening: bytes) -> Path:
    """A proof: everything that anyone needs to repeat the check of this one answer, and no other window."""
    _, boot, sequence, _, index = found.sealed.place
    path = folder / f"fraud-{epoch}-{found.sealed.device.hex()}-{boot}-{sequence}-{index}.json"
    frames = [*(frame for _, frame in found.signed), opening]
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**_row(found), "frames": [frame.hex() for frame in frames]}, indent=1) + "\n")
        os.replace(part, path)
    return path


def _row(found: "Audited") -> dict[str, Any]:
    from gateway.verify.read import checksum

    device, boot, sequence, _, index = found.sealed.place
    names = {"device": checksum(device), "boot": boot, "sequence": sequence, "inference": index}
    return {
        **names,
        "window": found.claim.window,
        "outcome": "fraud" if found.fault else "right",
        "reason": found.fault,
    }


def _lines(fields: dict[str, Any]) -> list[str]:
    rows, epoch = fields["answers"], fields["epoch"]
    devices = sorted({row["device"] for row in rows})
    if not rows:
        wanted = f"wanted a device whose model's manifest names {fields['reader']} as reader (docs/private.md)"
        return [f"epoch {epoch}: nothing was sealed to you yet; {wanted}", f"RESULT: NOTHING_TO_DO epoch={epoch}"]
    lines = [f"epoch {epoch}: you opened {len(rows)} answers of {len(devices)} devices and ran each again", ""]
    for device in devices:
        of_device = [row for row in rows if row["device"] == device]
        lines.append(f"{device}  {sum(row['outcome'] == 'right' for row in of_device)} of {len(of_device)} right")
    lines += [_fraud(row) for row in rows if row["outcome"] == "fraud"]
    lines += [f"proof: {path}; anyone checks it with `tinyren buyer check`" for path in fields["proofs"]]
    if fields["published"]:
        lines.append(f"{fields['published']} told to the gateway: the deed earns nothing in epoch {epoch}")
    lines += [f"not told to the gateway: {why}; keep the proof (--out DIR)" for why in fields["not_published"][:1]]
    has_fraud = any(row["outcome"] == "fraud" for row in rows)
    return [*lines, "", f"RESULT: {'TRUST ' + PROOF if has_fraud else 'OK'} epoch={epoch}"]


def _fraud(row: dict[str, Any]) -> str:
    place = f"heartbeat {row['boot']}/{row['sequence']}, inference {row['inference']}"
    return f"FRAUD {row['device']} {place}: {row['reason']}"
