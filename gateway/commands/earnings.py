"""`tinyren earnings explain`: why a deed earned what it did in an epoch, for a terminal of 80 columns or as JSON."""

from argparse import Namespace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive, print_json
from gateway.errors import Exit

if TYPE_CHECKING:
    from gateway.earnings.earnings import DeviceVerdict, Evidence, Explanation

SHOWN = 40
INDENT: dict[str, Any] = {"initial_indent": "  ", "subsequent_indent": "    "}


def add_earnings(commands: Any) -> None:
    """The command `earnings` and its verb."""
    verbs = commands.add_parser("earnings", help="what deeds earned, and why").add_subparsers(
        metavar="VERB", required=True
    )
    explain = verbs.add_parser("explain", help="why a deed earned what it did in an epoch, window by window")
    explain.add_argument("deed", type=positive, metavar="DEED", help="the deed's number")
    explain.add_argument("--epoch", type=positive, required=True, metavar="N", help="number of a settled epoch")
    explain.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    explain.add_argument("--rpc", metavar="URL", help="the chain to ask (default: the site's own)")
    explain.add_argument("--json", action="store_true", help="print one JSON object, every window in it")
    explain.set_defaults(run=run_explain)


def run_explain(arguments: Namespace) -> int:
    from gateway.earnings.site import explain_site

    told = explain_site(arguments.site, arguments.deed, arguments.epoch, arguments.rpc)
    if arguments.json:
        print_json(as_json(told))
    else:
        print(report(told))
    return Exit.OK


def as_json(told: "Explanation") -> dict[str, Any]:
    """The explanation as JSON values; amounts are decimal strings of wei, ids EIP-55, digests 0x hex."""
    from eth_utils.address import to_checksum_address

    from gateway.earnings.earnings import OUTCOMES, RULE, WORK_RULE

    return {
        "epoch": told.epoch,
        "deed": told.deed,
        "owner": to_checksum_address(told.owner),
        "slots": told.slots,
        "windows": told.windows,
        "window_ms": told.window_ms,
        "rule": RULE,
        "outcomes": OUTCOMES,
        "devices": [_device(device, to_checksum_address(device.device)) for device in told.devices],
        "availability_sum": told.availability_sum,
        "earned_wei": str(told.earned_wei),
        "paid_to": "account" if told.money.is_account else "deed",
        "frauds": [to_checksum_address(device) for device in told.frauds],
        "work_rule": WORK_RULE,
        "jobs": [{"escrow": to_checksum_address(at), "job": job, "units": n} for (at, job), n in told.jobs.items()],
        "before_wei": str(told.money.before_wei),
        "cumulative_wei": str(told.money.cumulative_wei),
        "claimed_wei": str(told.money.claimed_wei),
        "due_wei": str(told.money.due_wei),
        "root": "0x" + told.root.hex(),
        "evidence": "0x" + told.evidence.hex(),
        "advice": list(told.advice),
    }


def _device(device: "DeviceVerdict", name: str) -> dict[str, Any]:
    rows = [{**vars(window), "evidence": [_evidence(item) for item in window.evidence]} for window in device.windows]
    strays = [_evidence(item) for item in device.strays]
    work = device.work
    return {
        "id": name,
        "availability": device.availability,
        "units": work.units,
        "claimed": work.claimed,
        "challenged": work.challenged,
        "sound": work.answered,
        "sealed": sum(work.sealed.values()),
        "challenges": [
            {"window": found.claim.window, "inference": found.index, "outcome": found.outcome, "reason": found.reason}
            for found in device.challenges
        ],
        "windows": rows,
        "strays": strays,
    }


def _evidence(item: "Evidence") -> dict[str, Any]:
    return {**vars(item), "digest": "0x" + item.digest.hex()}


def report(told: "Explanation") -> str:
    """The explanation for a person; of the windows that were not answered at most SHOWN a device."""
    from gateway.earnings.earnings import ANSWERED, RULE, WORK_RULE
    from gateway.poai.verdict import SEALED, SOUND

    fields = as_json(told)
    lines = [f"deed {told.deed}, epoch {told.epoch}: {told.earned_wei} wei earned", f"owner {fields['owner']}", ""]
    for device, row in zip(told.devices, fields["devices"], strict=True):
        answered = device.count(ANSWERED)
        lines += [
            f"{row['id']}",
            f"  answered {answered} of {told.windows} windows: availability {device.availability}",
        ]
        if row["claimed"]:
            lines.append(
                f"  work {row['units']} units of {row['claimed']} claimed; "
                f"sound {row['sound']} of {row['challenged']} challenged"
                + (f", {row['sealed']} sealed to a buyer" if row["sealed"] else "")
            )
        for found in row["challenges"]:
            if found["outcome"] not in (SOUND, SEALED):
                why = f": {found['reason']}" if found["reason"] else ""
                lines += wrap(f"window {found['window']}: challenge {found['outcome']}{why}", 80, **INDENT)
        missed = [window for window in device.windows if window.outcome != ANSWERED]
        for window in missed[:SHOWN]:
            late = ", ".join(f"after {item.after_ms} ms" for item in window.evidence[:3])
            lines.append(f"  window {window.window}: {window.outcome}{f' ({late})' if late else ''}")
        if len(missed) > SHOWN:
            lines.append(f"  and {len(missed) - SHOWN} more windows, by --json")
        if device.strays:
            lines.append(f"  heartbeats that name none of these windows: {len(device.strays)}")
    lines += ["", *wrap(RULE, 80), "", *wrap(WORK_RULE, 80), ""]
    lines += [f"job {job['job']}  {job['units']} units, escrow {job['escrow']}" for job in fields["jobs"]]
    lines += [f"FRAUD {device}: the deed earns nothing" for device in fields["frauds"]]
    if told.money.is_account:
        lines += ["paid to the owner's account; before, in all and claimed are the account's"]
    lines += [
        f"availability   {told.availability_sum} of at most {255 * told.slots} ({told.slots} slots)",
        f"before         {told.money.before_wei} wei",
        f"earned         {told.earned_wei} wei",
        f"in all         {told.money.cumulative_wei} wei",
        f"claimed        {told.money.claimed_wei} wei, until now",
        f"root      {fields['root']}",
        f"evidence  {fields['evidence']}",
        "",
        "what you can do",
    ]
    for text in told.advice:
        lines += wrap(text, 80, initial_indent="- ", subsequent_indent="  ")
    lines.append(f"RESULT: OK deed={told.deed} epoch={told.epoch} earned_wei={told.earned_wei}")
    return "\n".join(lines)
