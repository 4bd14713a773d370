"""What `tinyren edil trusted` does: gateway-trusted rounds for a data owner; refuses to say less than that.

These are not EDIL: the gateway reads each device's values before it encrypts them (EDIL.md, section 8). So they have
verbs and keys of their own, `announce` wants the mode in words, and each output has it under "confidentiality".
"""

import base64
import hashlib
import json
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.aggregation import messages, seal
from gateway.aggregation.messages import GATEWAY_TRUSTED
from gateway.edil.client import Gateway
from gateway.edil.console import parse_round, show, told, write
from gateway.errors import CommandError, Exit
from gateway.progress import Progress
from gateway.text import one_line

WATCH_S = 0.5
WARNING = "gateway-trusted: the gateway reads each device's values"


def run_keygen(arguments: Namespace) -> int:
    """Make a CKKS key in a new file."""
    try:
        file = os.open(arguments.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{arguments.out}: there is a file already; name another", Exit.REFUSED) from None
    with os.fdopen(file, "wb") as out:
        out.write(seal.make_ckks_key())
    _show(arguments, {"file": str(arguments.out)}, str(arguments.out))
    return Exit.OK


def run_announce(arguments: Namespace) -> int:
    """Open a round at a gateway; prints its digest R."""
    context = told(lambda: seal.public_part(arguments.key.read_bytes()), Exit.USAGE)
    configuration = {
        "confidentiality": arguments.confidentiality,
        "name": arguments.name,
        "values": arguments.values,
        "bound": arguments.bound,
        "k_min": arguments.k_min,
        "deadline_ms": time.time_ns() // 1_000_000 + 1000 * arguments.deadline_s,
        "context": base64.b64encode(context).decode(),
    }
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    got = told(lambda: Gateway(arguments.gateway).announce_trusted(configuration))
    if got != digest:
        raise CommandError(f"{arguments.gateway}: got round {got}, wanted {digest}", Exit.TRUST)
    _show(arguments, {"digest": digest}, digest)
    return Exit.OK


def run_watch(arguments: Namespace) -> int:
    """Follow a round until it is closed or failed, or the time is over."""
    gateway, digest = Gateway(arguments.gateway), parse_round(arguments.round)
    end_s, before, say = time.monotonic() + arguments.timeout, "", Progress(sys.stderr).say
    while True:
        row = told(lambda: gateway.trusted(digest))
        line = one_line(f"round {row.get('name')} is {row.get('state')}, {len(row.get('devices', ()))} devices")
        if line != before:
            say(before := line)
        if row.get("state") in ("closed", "failed"):
            _show(arguments, row, line)
            return Exit.OK if row["state"] == "closed" else Exit.FAILED
        if time.monotonic() > end_s:
            raise CommandError(f"after {arguments.timeout} s: {line}", Exit.TIMEOUT)
        time.sleep(WATCH_S)


def run_open(arguments: Namespace) -> int:
    """Check the record of a round, decrypt its total and write the sum."""
    gateway, digest = Gateway(arguments.gateway), parse_round(arguments.round)
    frame, total = told(lambda: gateway.closed_trusted(digest))
    row = told(lambda: gateway.trusted(digest))
    signed = told(lambda: messages.open_trusted_set(frame))
    record: messages.TrustedSet = signed.body
    if not signed.is_by(signed.signer):
        raise CommandError(f"record: got one that 0x{signed.signer.hex()} did not sign", Exit.TRUST)
    if (record.round, record.aggregate) != (digest, hashlib.sha256(total).digest()):
        raise CommandError("record: got another round's or another total's, wanted this one's", Exit.TRUST)
    key = Path(arguments.key).read_bytes()
    values = told(lambda: seal.read_sum(key, total, row.get("values", 0)), Exit.TRUST)
    devices = ["0x" + device.hex() for device in record.devices]
    opened = {"round": digest.hex(), "gateway": "0x" + signed.signer.hex(), "devices": devices, "values": values}
    write(arguments, {"confidentiality": GATEWAY_TRUSTED, **opened})
    return Exit.OK


def _show(arguments: Namespace, value: dict[str, Any], text: str) -> None:
    show(arguments, {"confidentiality": GATEWAY_TRUSTED, **value}, f"{text}\n({WARNING})")
