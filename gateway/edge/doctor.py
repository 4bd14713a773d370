"""`tinyren gateway doctor`: every check of a gateway, one line each; a check that itself fails is told as failed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gateway.configuration import configuration
from gateway.edge import checks_chain, checks_machine, checks_page, checks_site, running
from gateway.edge.checks import FAIL, OK, WARN, Check, Finding, Gateway
from gateway.errors import CommandError, Exit
from gateway.site import site_file

CHECKS: dict[str, Check] = {
    "disk": checks_machine.disk,
    "keys": checks_machine.private_files,
    "clock": checks_machine.clock,
    "ports": checks_machine.ports,
    "programs": checks_machine.programs,
    "chain": checks_chain.chain,
    "stores": checks_site.stores,
    "evidence": checks_site.evidence_files,
    "epochs": checks_site.epochs,
    "devices": checks_site.devices,
    "certificate": checks_site.certificate,
    "backup": checks_site.saved,
    "sign-in": checks_page.sign_in,
    "public URL": checks_page.public_url,
}


class Row(NamedTuple):
    check: str
    finding: Finding


def examine(folder: Path) -> list[Row]:
    """Every finding, in the order of CHECKS; the configuration first."""
    try:
        configured = configuration.load(folder)
        site = site_file.read(folder)
    except CommandError as error:
        return [Row("configuration", Finding(FAIL, str(error), "mend that line, then run the doctor again"))]
    rows = [Row("configuration", Finding(OK, "every file and variable is understood"))]
    is_running, state = running.is_running(folder), None
    if is_running and site is not None:
        try:
            state = running.state(site)
        except OSError as error:
            rows.append(Row("page", Finding(FAIL, str(error), "end the gateway and start it again")))
    chosen = frozenset(name for name in configured.origins if configured.is_set(name))
    gateway = Gateway(folder, configured.values, chosen, site, is_running, state)
    for name, check in CHECKS.items():
        try:
            rows += [Row(name, finding) for finding in check(gateway)]
        except Exception as error:  # whatever state a gateway is in, the other checks are still worth something
            rows.append(Row(name, Finding(FAIL, f"could not be checked: {error}", f"look at {folder}")))
    return rows


def verdict(rows: Sequence[Row]) -> Exit:
    """The command's exit code."""
    levels = {row.finding.level for row in rows}
    return Exit.FAILED if FAIL in levels else Exit.WARNINGS if WARN in levels else Exit.OK


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "verdict": verdict(rows).name.lower(),
        "checks": [{"check": row.check, **row.finding._asdict()} for row in rows],
    }


def lines(rows: Sequence[Row]) -> list[str]:
    """For a person; the last one for a program."""
    found = []
    for row in rows:
        found.append(f"{row.finding.level:<5} {row.check:<13} {row.finding.says}")
        if row.finding.mend:
            found.append(f"{'':19} do: {row.finding.mend}")
    counts = {level: sum(row.finding.level == level for row in rows) for level in (OK, WARN, FAIL)}
    word = "FAILED" if counts[FAIL] else "WARNINGS" if counts[WARN] else "OK"
    return [*found, f"RESULT: {word} " + " ".join(f"{level}={count}" for level, count in counts.items())]
