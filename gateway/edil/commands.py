"""What `tinyren edil` and `tinyren shareholder` do, a function a verb; the decisions are in the modules it calls."""

import signal
import sys
import time
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from device.agent import eip712, rounds
from gateway import curve
from gateway import keys as key_files
from gateway.aggregation import messages
from gateway.edil import counting, fit, infer, keys, owner, plan
from gateway.edil.answers import Answers
from gateway.edil.client import Gateway
from gateway.edil.console import (
    choose_counting,
    load_key,
    open_gateways,
    parse_round,
    read_json,
    show,
    told,
    write,
)
from gateway.edil.holder import Holder
from gateway.errors import CommandError, Exit
from gateway.progress import Progress
from gateway.storage.cid import encode_text
from gateway.text import one_line

WATCH_S = 0.5


def run_shareholder(arguments: Namespace) -> int:
    """Poll gateways until SIGTERM or Ctrl-C, or once."""
    say = Progress(sys.stderr).say
    secret = load_key(arguments.key)
    counted = choose_counting(arguments, say)
    answers = Answers(arguments.state or arguments.key.with_suffix(".answers"), secret.public_key.format())
    holder = Holder(secret, answers, counted, arguments.least, say)
    gateways = open_gateways(arguments)
    say(f"share-holder {secret.public_key.format().hex()}, {answers.count()} answers given so far")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    total = {"answered": 0, "refused": 0, "waiting": 0}
    try:
        while True:
            turns = [told(partial(holder.turn, gateway)) for gateway in gateways]
            total = {name: sum(turn[name] for turn in turns) + total[name] * (name != "waiting") for name in total}
            if arguments.once:
                break
            time.sleep(arguments.poll_seconds)
    except KeyboardInterrupt:
        pass
    finally:
        answers.close()
    show(arguments, total, ", ".join(f"{count} {name}" for name, count in total.items()))
    if not arguments.once:
        return Exit.OK
    if total["refused"]:
        return Exit.REFUSED
    return Exit.FAILED if total["waiting"] else Exit.OK if total["answered"] else Exit.NOTHING_TO_DO


def run_keygen(arguments: Namespace) -> int:
    """Make a key and show what others need to know of it."""
    if arguments.out.exists():
        raise CommandError(f"{arguments.out}: there is a key already; name another file", Exit.REFUSED)
    secret = key_files.load_or_make(arguments.out)
    public = secret.public_key.format().hex()
    show(arguments, {"holder": public, "address": "0x" + curve.address_of(secret.secret).hex()}, public)
    return Exit.OK


def run_enrol(arguments: Namespace) -> int:
    """Sign each owner's Enrolment and give it to the gateways, who tell the owner's devices."""
    holders = told(lambda: keys.parse_holders(arguments.holder), Exit.USAGE)
    contract = told(lambda: counting.parse_address(arguments.contract), Exit.USAGE)
    rows = []
    for path in arguments.owner_key:
        secret = load_key(path)
        frame = owner.sign_enrolment(secret, arguments.chain_id, contract, holders, arguments.number)
        address = curve.address_of(secret.secret)
        for gateway in open_gateways(arguments):
            told(partial(gateway.enrol, address, frame))
        rows.append({"owner": "0x" + address.hex(), "digest": messages.open_enrolment(frame, address).digest.hex()})
    show(arguments, {"enrolments": rows}, "\n".join(f"{row['owner']} enrolled: {row['digest']}" for row in rows))
    return Exit.OK


def run_announce(arguments: Namespace) -> int:
    """Check a round, sign it, and give it to the gateways; prints its digest M."""
    secret = load_key(arguments.key)
    own = secret.public_key.format().hex()
    holders = told(lambda: keys.parse_holders([own, *arguments.holder]), Exit.USAGE)
    named = ("kind", "model", *sorted(plan.NUMBERS))
    fields = told(lambda: plan.read_plan(arguments.plan, {name: getattr(arguments, name) for name in named}))
    facts = told(lambda: plan.read_facts(Path(fields["model"])))
    digest = eip712.holders_digest(curve.keccak, holders)
    manifest = told(lambda: plan.make_manifest(fields, facts, digest, time.time_ns() // 1_000_000))
    noise = plan.check_noise(manifest)
    shown = dict(zip(manifest.FIELDS, manifest.values(), strict=True))
    shown |= {"model": encode_text(manifest.model), "holders": manifest.holders.hex(), "noise": str(noise)}
    if not arguments.dry_run:
        frame = owner.sign_manifest(secret, manifest)
        shown["digest"] = rounds.open_manifest(frame)[0].digest.hex()
        if arguments.out:
            arguments.out.write_bytes(frame)
        for gateway in open_gateways(arguments):
            told(partial(gateway.announce, frame, dict(arguments.weight), arguments.part))
    show(arguments, shown, "\n".join(f"{name:<12} {value}" for name, value in shown.items()))
    return Exit.OK


def run_watch(arguments: Namespace) -> int:
    """Follow a round until it can be opened, failed, or the time is over."""
    gateway, digest, say = Gateway(arguments.gateway), parse_round(arguments.round), Progress(sys.stderr).say
    end_s, before = time.monotonic() + arguments.timeout, ""
    while True:
        row = told(lambda: gateway.status(digest))
        if (line := describe(row)) != before:
            say(before := line)
        if row.get("state") in ("failed", "part", "ended") or is_answered(gateway, digest, row):
            show(arguments, row, line)
            return Exit.FAILED if row["state"] == "failed" else Exit.OK
        if time.monotonic() > end_s:
            missing = "; nothing opens before every share-holder has answered" if row.get("state") == "closed" else ""
            raise CommandError(f"after {arguments.timeout} s: {line}{missing}", Exit.TIMEOUT)
        time.sleep(WATCH_S)


def run_close(arguments: Namespace) -> int:
    """Close a round now."""
    gateway, digest = Gateway(arguments.gateway), parse_round(arguments.round)
    told(lambda: gateway.close(digest))
    row = told(lambda: gateway.status(digest))
    show(arguments, row, describe(row))
    return Exit.OK if row.get("state") in ("closed", "part", "ended") else Exit.FAILED


def run_merge(arguments: Namespace) -> int:
    """Bring the parts of the other gateways to the first."""
    first, *others = open_gateways(arguments)
    if not others:
        raise CommandError("--gateway: got one, wanted the one that merges and others with parts", Exit.USAGE)
    digest = parse_round(arguments.round)
    parts = [told(partial(gateway.closed, digest)) for gateway in others]
    signers = [told(partial(messages.open_set, part.closed_set)).signer for part in parts]
    told(lambda: first.merge(digest, list(zip(signers, parts, strict=True))))
    row = told(lambda: first.status(digest))
    show(arguments, row, describe(row))
    return Exit.OK


def run_open(arguments: Namespace) -> int:
    """Check, decrypt, and write the exact sums."""
    secret, digest = load_key(arguments.key), parse_round(arguments.round)
    counted = choose_counting(arguments, Progress(sys.stderr).say)
    gateway = Gateway(arguments.gateway)

    def open_round() -> owner.Opened:
        return owner.open_round(gateway.closed(digest), gateway.shares(digest), secret, counted(), arguments.least)

    opened = told(open_round)
    if opened.checked.manifest.digest != digest:
        raise CommandError(f"{arguments.gateway}: got another round than {digest.hex()}", Exit.TRUST)
    write(arguments, opened.as_json())
    return Exit.OK


def run_fit(arguments: Namespace) -> int:
    """Fit everything that the sums give."""
    facts = told(lambda: plan.read_facts(arguments.model))
    manifest, sums = told(lambda: fit.read_sums(read_json(arguments.sums)))
    if manifest.model != facts.model:
        got = f"{arguments.model}: model {encode_text(facts.model)}"
        raise CommandError(f"{got}, wanted the round's, {encode_text(manifest.model)}", Exit.REFUSED)
    found = told(
        lambda: fit.fit(manifest, sums, facts.scale, facts.zero_point, arguments.ridge, arguments.false_alarms)
    )
    write(arguments, {"model": encode_text(facts.model), "clip": manifest.clip, **found})
    return Exit.OK


def run_evaluate(arguments: Namespace) -> int:
    """Accuracy of a head on labelled embeddings."""
    found = read_json(arguments.fit)
    result = told(lambda: fit.evaluate(found, arguments.data.read_text()))
    show(arguments, result, f"{result['correct']} of {result['windows']} right: {result['accuracy']:.2%}")
    return Exit.OK


def run_infer(arguments: Namespace) -> int:
    """Tell the gateway a head, and read the logits of the embeddings that are there."""
    secret, digest = load_key(arguments.key), parse_round(arguments.round)
    gateway = Gateway(arguments.gateway)
    rows = told(lambda: infer.infer(gateway, digest, secret, read_json(arguments.fit)))
    lines = [f"{row['device']} {row['index']:>3}  class {row['class']}  {row['logits']}" for row in rows]
    show(arguments, {"answers": rows}, "\n".join([*lines, f"{len(rows)} embeddings"]))
    return Exit.OK


def run_demo(arguments: Namespace) -> int:
    """The whole of EDIL on one machine."""
    from gateway.edil.demo import demo, summary

    result = told(partial(demo, arguments.devices, arguments.boards, arguments.keep, Progress(sys.stderr)))
    show(arguments, result, summary(result))
    return Exit.OK if result["aggregate_equal"] and result["subset_decryptions_failed"] else Exit.TRUST


def describe(row: dict[str, Any]) -> str:
    """A round's status in one line."""
    said: dict[str, int] = {}
    for status in row.get("said", {}).values():
        said[str(status)] = said.get(str(status), 0) + 1
    for reason in row.get("refused", {}).values():
        said[f"refused: {reason}"] = said.get(f"refused: {reason}", 0) + 1
    parts = [f"round {row.get('round')} is {row.get('state')}", f"{len(row.get('devices', ()))} devices stored"]
    parts += [f"{count} {status}" for status, count in sorted(said.items())]
    parts.append(f"{len(row.get('shares', ()))} shares")
    return one_line(", ".join(parts) + (f": {row['why']}" if row.get("why") else ""))


def is_answered(gateway: Gateway, digest: bytes, row: dict[str, Any]) -> bool:
    """Whether a round is closed and has a share of every share-holder."""
    if row.get("state") != "closed":
        return False
    closed = told(lambda: messages.open_set(gateway.closed(digest).closed_set)).body
    holders = rounds.decode_enrol(closed.enrolments[0])[2]
    return len(row.get("shares", ())) >= len(holders) - 1
