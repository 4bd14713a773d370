"""`tinyren job`: what runs on which devices; signs what it asks of a running site, and never asks without a signature.

Exit codes: 0 done; 1 a container or module failed; 2 job.toml or usage; 3 the site refuses; 5 nothing to do; 7 not
ended in time; 8 signed by a key that the site does not take; 9 every device that ended went back; 10 some did.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands import job_lines
from gateway.commands.arguments import new_progress, positive, print_json
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from gateway.deeploy.client import SiteClient
    from gateway.deeploy.compose import Composed

POLL_S = 0.5
TIMEOUT_S = 900
_CODES = {"stranger": Exit.TRUST, "signature": Exit.TRUST, "malformed": Exit.USAGE, "nothing": Exit.NOTHING_TO_DO}


def add_job(commands: Any) -> None:
    """The command `job` and its verbs."""
    verbs = commands.add_parser("job", help="say what runs on which devices").add_subparsers(
        metavar="VERB", required=True
    )
    apply_ = _verb(verbs, "apply", "have devices run what a job.toml says", run_apply)
    apply_.add_argument("file", type=Path, metavar="job.toml", help="what is to run where (docs/jobs.md)")
    ls = _verb(verbs, "ls", "list jobs, or the devices that a job may name", run_ls)
    ls.add_argument("--devices", action="store_true", help="list devices with their labels")
    show = _verb(verbs, "show", "a job and each of its devices, with the reason", run_show)
    pause = _verb(verbs, "pause", "send nothing more of a job", lambda arguments: _run_switch(arguments, "pause"))
    resume = _verb(
        verbs, "resume", "go on with a paused or halted job", lambda arguments: _run_switch(arguments, "resume")
    )
    rollback = _verb(verbs, "rollback", "take a job's devices back to what was before", run_rollback)
    logs = _verb(verbs, "logs", "the last lines of a container or WebAssembly job", run_logs)
    logs.add_argument("--tail", type=positive, default=100, metavar="N", help="so many (default: %(default)s)")
    label = _verb(verbs, "label", "name a device, for targets", run_label)
    label.add_argument("device", metavar="DEVICE", help="its id, 0x...")
    label.add_argument("labels", nargs="+", metavar="NAME=VALUE", help="NAME= takes a label away")
    for verb in (show, pause, resume, rollback, logs):
        verb.add_argument("name", metavar="NAME", help="the job's")
    for verb in (apply_, pause, resume, rollback, ls, label):
        verb.add_argument("--key", type=Path, metavar="FILE", help="who asks (default: SITE/keys/update.key)")
    for verb in (apply_, rollback):
        verb.add_argument("--dry-run", action="store_true", help="say what would be sent to whom, and change nothing")
    for verb in (apply_, resume, rollback):
        verb.add_argument("--wait", action="store_true", help="until it ended everywhere, or serves; the code says how")
        verb.add_argument("--timeout", type=positive, default=TIMEOUT_S, metavar="S",
                          help="wait so long at most (default: %(default)s)")  # fmt: skip


def _verb(verbs: Any, name: str, help_: str, run: Callable[[Namespace], int]) -> ArgumentParser:
    verb: ArgumentParser = verbs.add_parser(name, help=help_)
    verb.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=lambda arguments: _told(run, arguments))
    return verb


def _told(run: Callable[[Namespace], int], arguments: Namespace) -> int:
    """Run one verb; what is refused becomes a CommandError with its exit code."""
    from gateway.deeploy.requests import Refused
    from gateway.storage.errors import StoreError

    try:
        return run(arguments)
    except Refused as error:
        raise CommandError(f"{error.reason}: {error}", _CODES.get(error.reason, Exit.REFUSED)) from error
    except StoreError as error:
        raise CommandError(str(error)) from error


def run_apply(arguments: Namespace) -> int:
    from boards.board import board_names
    from gateway.deeploy import compose, spec

    try:
        found = spec.parse(arguments.file.read_text(), arguments.file.parent)
    except OSError as error:
        raise CommandError(f"{arguments.file}: {error.strerror}", Exit.USAGE) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{arguments.file}: {error}", Exit.USAGE) from error

    if found.workload and arguments.dry_run:
        return _rehearse(arguments, found.name, found.workload)

    def make(about: dict[str, Any], r1fs: Any, key: "PrivateKey") -> "Composed":
        return compose.compose(found, about, r1fs, key, compose.build_agent, [*board_names(), compose.CPYTHON])

    return _change(arguments, "apply", make)


def _rehearse(arguments: Namespace, name: str, table: Mapping[str, Any]) -> int:
    """Say of a container or module what its gateway would, as far as this machine can tell; no gateway is asked."""
    from gateway.storage.embedded import Embedded
    from gateway.workloads.errors import Unavailable, WorkloadError
    from gateway.workloads.sources import rehearse
    from gateway.workloads.workload import parse

    folder = arguments.site / "r1fs"
    try:
        with closing(Embedded(folder)) if folder.is_dir() else nullcontext() as r1fs:
            notes = list(rehearse(parse(table), r1fs))
    except WorkloadError as error:
        raise CommandError(str(error), Exit.FAILED if isinstance(error, Unavailable) else Exit.REFUSED) from error
    return _print(arguments, job_lines.rehearsed(name, table, notes), job_lines.planned)


def run_rollback(arguments: Namespace) -> int:
    from gateway.deeploy import compose

    return _change(arguments, "rollback", lambda about, r1fs, key: compose.roll_back(arguments.name, about, r1fs, key))


def _change(arguments: Namespace, action: str, make: Callable[[dict[str, Any], Any, "PrivateKey"], "Composed"]) -> int:
    """Make a document, keep it in the site's R1FS, ask for it."""
    from gateway.deeploy.compose import store
    from gateway.deeploy.documents import job_of_cid
    from gateway.deeploy.requests import Refused
    from gateway.storage.embedded import Embedded

    key, site = _key(arguments), _site(arguments)
    about = site.about(key)
    with closing(Embedded(arguments.site / "r1fs")) as r1fs:
        composed = make(about, r1fs, key)
        if arguments.dry_run:
            return _print(arguments, job_lines.plan(composed), job_lines.planned)
        store(composed, r1fs)
        try:
            status = site.ask(key, about, action, job_of_cid(composed.cid))
        except Refused:  # after any other failure the site may have taken it, only its answer is lost
            r1fs.unpin(composed.cid)
            raise
        if composed.job.before is not None:
            r1fs.unpin(composed.job.before)  # the new document links to it, so it stays
    return _finish(arguments, site, status)


def _run_switch(arguments: Namespace, action: str) -> int:
    from gateway.deeploy.documents import job_of_cid

    key, site = _key(arguments), _site(arguments)
    about = site.about(key)
    if arguments.name not in about["documents"]:
        wanted = f"wanted one of {', '.join(sorted(about['documents'])) or 'none yet'}"
        raise CommandError(f"job: got {arguments.name!r}, {wanted}", Exit.USAGE)
    status = site.ask(key, about, action, job_of_cid(about["documents"][arguments.name]))
    return _finish(arguments, site, status)


def run_label(arguments: Namespace) -> int:
    from gateway.deeploy.documents import encode_labels, job_of_cid
    from gateway.storage.cid import DAG_CBOR
    from gateway.storage.embedded import Embedded

    key, site = _key(arguments), _site(arguments)
    labels = {}
    for text in arguments.labels:
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise CommandError(f"label: got {text!r}, wanted NAME=VALUE, or NAME= to take it away", Exit.USAGE)
        labels[name] = value or None
    try:
        device = bytes.fromhex(arguments.device.removeprefix("0x"))
    except ValueError:
        raise CommandError(
            f"device: got {arguments.device!r}, wanted its id, 0x and 40 hex digits", Exit.USAGE
        ) from None
    with closing(Embedded(arguments.site / "r1fs")) as r1fs:
        cid = r1fs.put_block(encode_labels(device, labels), DAG_CBOR)
        result = site.ask(key, site.about(key), "label", job_of_cid(cid))
    if arguments.json:
        print_json(result)
    else:
        print(f"{result['device']}: {job_lines.labels(result['labels']) or 'no labels'}")
    return Exit.OK


def run_ls(arguments: Namespace) -> int:
    site = _site(arguments)
    rows = site.about(_key(arguments))["devices"] if arguments.devices else site.jobs()
    if arguments.json:
        print_json(rows)
        return Exit.OK
    for row in rows:
        print(job_lines.known(row) if arguments.devices else job_lines.head(row))
    if not rows:
        print("no device yet" if arguments.devices else "no job yet; `tinyren job apply job.toml` makes one")
    return Exit.OK


def run_show(arguments: Namespace) -> int:
    return _print(arguments, _site(arguments).job(arguments.name))


def run_logs(arguments: Namespace) -> int:
    lines = _site(arguments).logs(arguments.name, arguments.tail)
    if arguments.json:
        print_json({"name": arguments.name, "lines": lines})
    else:
        print("\n".join(lines))
    return Exit.OK


def _finish(arguments: Namespace, site: "SiteClient", status: dict[str, Any]) -> int:
    """Print the job, after it ended if that is waited for; CommandError: it ended badly."""
    if not getattr(arguments, "wait", False):
        return _print(arguments, status)
    status = _wait(site, status["name"], arguments.timeout)
    _print(arguments, status)
    code, why = job_lines.outcome(status)
    if why:
        raise CommandError(why, code)
    return code


def _print(
    arguments: Namespace, told: dict[str, Any], lines: Callable[[dict[str, Any]], list[str]] = job_lines.job
) -> int:
    """Print a job with its devices, or what else `lines` are of."""
    if arguments.json:
        print_json(told)
    else:
        print("\n".join(lines(told)))
    return Exit.OK


def _wait(site: "SiteClient", name: str, timeout_s: int) -> dict[str, Any]:
    """The job's status once nothing more is to come of it."""
    progress, end_s = new_progress(), time.monotonic() + timeout_s
    while True:
        status = site.job(name)
        counts = status["counts"]
        ended = sum(count for phase, count in counts.items() if phase in ("done", "failed", "refused", "safe"))
        progress.step(f"job {name}", ended / max(1, sum(counts.values()) - counts.get("not led", 0)))
        busy = sum(counts.get(phase, 0) for phase in ("asked", "fetching", "trying"))
        if status["finished"] or (status["state"] != "running" and not busy):
            return status
        if time.monotonic() > end_s:
            print(job_lines.head(status), file=sys.stderr)
            raise CommandError(
                f"job {name}: not ended within {timeout_s} s; `tinyren job show {name}` says why", Exit.TIMEOUT
            )
        time.sleep(POLL_S)


def _site(arguments: Namespace) -> "SiteClient":
    from gateway.deeploy.client import SiteClient

    return SiteClient(arguments.site)


def _key(arguments: Namespace) -> "PrivateKey":
    from gateway import keys

    return keys.load_existing(arguments.key or arguments.site / "keys" / "update.key")
