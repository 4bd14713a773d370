"""The second scorer's verdict (verify.py) as text and as JSON; decides nothing."""

import json
from dataclasses import asdict
from textwrap import wrap

from gateway.verify.verify import Result


def report(result: Result) -> str:
    """The verdict for a terminal of 80 columns."""
    lines = [
        f"epoch {result.epoch}: {result.windows_opened} of {result.windows} windows opened, "
        f"{result.heartbeats} heartbeats read, {result.counted} counted",
        f"recomputed from evidence: epochs {result.recomputed[0]} to {result.recomputed[-1]}",
        "",
        "device                                      availability",
        *(f"{device}  {value:>3}  {'#' * (value // 15)}".rstrip() for device, value in result.availability.items()),
        "",
        "deed    earned in all, R1",
        *(f"{deed:<6}  {_r1(wei)}" for deed, wei in result.leaves.items()),
        *(f"account {owner}  {_r1(wei)}" for owner, wei in result.accounts.items()),
        *(f"job {job} of {escrow}, deed {deed}: {units} units" for escrow, job, deed, units in result.work),
        *(f"work of {device}: {units} units in this epoch" for device, units in result.units.items()),
        *(f"FRAUD {device} signed what is not so: its deed earns nothing" for device in result.frauds),
        "",
        f"computed  {result.root or 'none'}",
        f"on chain  {result.chain_root or 'none'}",
    ]
    if result.findings:
        lines += ["", f"findings: {len(result.findings) + result.findings_left_off}"]
        for text in result.findings:
            lines += wrap(text, 80, initial_indent="- ", subsequent_indent="  ")
    if result.findings_left_off:
        lines.append(f"- and {result.findings_left_off} more")
    verdict = "OK the chain holds this root" if result.ok else "MISMATCH the chain holds another root or evidence"
    return "\n".join([*lines, "", f"RESULT: {verdict}, epoch={result.epoch}"])


def as_json(result: Result) -> str:
    """The verdict as one JSON object; amounts are decimal strings of wei."""
    return json.dumps({**asdict(result), "leaves": [[deed, str(wei)] for deed, wei in result.leaves.items()]})


def _r1(wei: int) -> str:
    return f"{wei // 10**18}.{wei % 10**18:018}"
