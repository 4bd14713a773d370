"""Checks of a gateway's own state: stores, evidence, epochs, devices, certificate, backup."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.edge import backup, running
from gateway.edge.checks import FAIL, OK, WARN, Finding, Gateway
from gateway.errors import CommandError
from gateway.intake import evidence, evidence_file
from gateway.intake.evidence import EvidenceDamaged
from gateway.lan import tls

EPOCHS_READ = 3
EPOCHS_BEHIND = 2
WINDOWS_SILENT = 3
SHOWN = 5
DAYS_LEFT = 14
BACKUP_DAYS = 30
EXCLUSIVE = ("chain.sqlite",)  # locked by who runs the site


def stores(gateway: Gateway) -> Iterator[Finding]:
    """Every SQLite file is whole."""
    sound = 0
    for path in sorted([*gateway.folder.glob("*.sqlite"), *gateway.folder.glob("r1fs/*.sqlite")]):
        if gateway.running and path.name in EXCLUSIVE:
            continue
        try:
            with running.reading(path) as database:
                (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:  # a full disk or another's lock, not what the file holds
            what = f"{path} could not be looked into: {error}; is the disk full?"
            yield Finding(FAIL, what, f"df -h {gateway.folder}, make room, and run the doctor again")
            continue
        except sqlite3.Error as error:
            said = str(error)
        if said == "ok":
            sound += 1
        else:
            yield Finding(FAIL, f"{path} is damaged: {said}", "tinyren gateway restore, from the last backup")
    yield Finding(OK, f"{sound} database{'s are' if sound != 1 else ' is'} whole")


def evidence_files(gateway: Gateway) -> Iterator[Finding]:
    """The newest epochs can be read: nothing is paid without."""
    folder = gateway.folder / "evidence"
    last = evidence.last_epoch(folder) if folder.is_dir() else 0
    read = range(max(1, last - EPOCHS_READ + 1), last + 1)
    heartbeats = 0
    for epoch in read:
        try:
            is_closed = evidence.read_windows(evidence.windows_path(folder, epoch)).is_closed
            for _ in evidence_file.walk(evidence.heartbeats_path(folder, epoch)):
                heartbeats += 1
        except FileNotFoundError as error:
            yield Finding(FAIL, f"{error.filename} is missing", "tinyren gateway restore, from the last backup")
        except EvidenceDamaged as error:
            if epoch == last and not is_closed:
                yield Finding(WARN, f"{error}; an end that a crash tore is cut at the next start")
            else:
                yield Finding(FAIL, str(error), "tinyren gateway restore, from the last backup")
    yield Finding(OK, f"{heartbeats:,} heartbeats in the newest {len(read)} epochs" if read else "no epoch yet")


def epochs(gateway: Gateway) -> Iterator[Finding]:
    """Closed epochs are settled."""
    counts, folder = running.counts(gateway.folder), gateway.folder / "evidence"
    newest = counts["epoch"]
    is_open = newest and not evidence.read_windows(evidence.windows_path(folder, newest)).is_closed
    behind = max(0, newest - bool(is_open) - counts["settled"])
    if behind > EPOCHS_BEHIND:
        what = f"{behind} closed epochs are not settled; owners are paid when they are"
        yield Finding(WARN, what, f"tail {gateway.folder}/logs/oracle-*.log, and see the chain's checks")
    else:
        yield Finding(OK, f"epoch {counts['settled']} is settled, {behind} closed ones are not")


def devices(gateway: Gateway) -> Iterator[Finding]:
    """Those that are bound are heard."""
    if gateway.state is None:
        yield Finding(OK, "who is silent is known when the gateway runs")
        return
    limit_ms = WINDOWS_SILENT * int(gateway.state.get("window_ms", 5000))
    bound = [row for row in gateway.state["devices"] if row["deed"]]
    silent = [row["id"] for row in bound if gateway.now_s * 1000 - (row["last_heartbeat_ms"] or 0) > limit_ms]
    if silent:
        names = ", ".join(silent[:SHOWN]) + (f" and {len(silent) - SHOWN} more" if len(silent) > SHOWN else "")
        what = f"{len(silent)} of {len(bound)} bound devices missed {WINDOWS_SILENT} windows: {names}"
        yield Finding(WARN, what, "look at their power and network; tinyren logs PORT shows what one says")
    else:
        yield Finding(OK, f"{len(bound)} bound devices, none silent")


def certificate(gateway: Gateway) -> Iterator[Finding]:
    """What is served by TLS is valid and lasts."""
    if not (gateway.values["tls.listen"] or gateway.values["page.tls_listen"]):
        yield Finding(OK, "no TLS is asked for")
        return
    if gateway.site is None and not (gateway.folder / tls.FOLDER / tls.SERVER).exists():
        yield Finding(OK, "the first start makes a certificate")
        return
    try:
        found = tls.describe(gateway.folder)
    except CommandError as error:
        yield Finding(WARN, str(error), f"tinyren gateway tls init {gateway.folder}")
        return
    days = (datetime.fromisoformat(found["until"]).replace(tzinfo=UTC).timestamp() - gateway.now_s) / 86_400
    if days < DAYS_LEFT:
        what = f"the certificate ends in {days:.0f} days" if days > 0 else "the certificate has ended"
        cert = gateway.values["tls.cert_file"]
        mend = f"have its issuer renew {cert}" if cert else "tinyren gateway tls renew"
        yield Finding(FAIL if days <= 0 else WARN, what, mend)
    else:
        yield Finding(OK, f"the certificate is good until {found['until']}")


def saved(gateway: Gateway) -> Iterator[Finding]:
    """There is a backup, and it is not old."""
    counts, found = running.counts(gateway.folder), backup.noted(gateway.folder)
    mend = f"tinyren gateway backup {gateway.folder} --to FILE, and keep it elsewhere"
    days = (gateway.now_s - found["made_ms"] / 1000) / 86_400 if found else 0
    if found is None and counts["settled"]:
        yield Finding(WARN, "no backup yet: keys and evidence are on this disk alone", mend)
    elif found and days > BACKUP_DAYS:
        yield Finding(WARN, f"the last backup is {days:.0f} days old, epoch {found['epoch']}", mend)
    else:
        yield Finding(OK, f"saved up to epoch {found['epoch']}" if found else "nothing to save yet")
