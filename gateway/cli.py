"""The command `tinyren`: reads arguments, calls one function, prints its result; errors become one line and a code."""

import argparse
import errno
import json
import sys
from pathlib import Path

from gateway.commands import reference
from gateway.commands.account import add_account
from gateway.commands.arguments import need, new_progress, positive, print_json
from gateway.commands.audit import add_audit
from gateway.commands.bind import add_bind
from gateway.commands.buyer import add_buyer
from gateway.commands.config import add_config
from gateway.commands.conformance import add_conformance
from gateway.commands.cstore import add_cstore
from gateway.commands.deed import add_deed
from gateway.commands.earnings import add_earnings
from gateway.commands.escrow import add_escrow
from gateway.commands.flash import add_flash
from gateway.commands.gateway import add_gateway
from gateway.commands.job import add_job
from gateway.commands.label import add_label
from gateway.commands.model import add_model
from gateway.commands.offer import add_offer
from gateway.commands.provision import add_provision
from gateway.commands.r1fs import add_r1fs
from gateway.commands.relay import add_relay
from gateway.commands.release import add_release
from gateway.commands.run import add_run
from gateway.commands.settings import add_settings
from gateway.commands.simulate import add_simulate
from gateway.commands.uf2 import add_uf2
from gateway.commands.up_arguments import add_up
from gateway.commands.vote import add_vote
from gateway.commands.work import add_work
from gateway.edil.cli import add_edil
from gateway.errors import CommandError, Exit
from gateway.progress import Progress
from gateway.text import printable

VERSION = "0.1.0"
ADVICE = {
    errno.ENOSPC: "make room (df -h), then run the same command again",
    errno.EDQUOT: "make room (quota), then run the same command again",
    errno.ENOENT: "wanted a path that is there",
    errno.ENOTDIR: "wanted a folder",
    errno.EISDIR: "wanted a file",
    errno.EACCES: "run it as the user whose it is",
    errno.EROFS: "name a place that can be written",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (gateway.errors.Exit)."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except CommandError as error:
        print(f"tinyren: {printable(str(error))}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return Exit.FAILED
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        advice = ADVICE.get(error.errno or 0, "")
        print(f"tinyren: {printable(what)}{advice and f'; {advice}'}", file=sys.stderr)
        return Exit.FAILED


def parser() -> argparse.ArgumentParser:
    """The whole command line; every option has its help text here, from which docs/commands.md is written."""
    root = argparse.ArgumentParser(
        prog="tinyren", description="A Ratio1 Edge Node out of a microcontroller and its gateway."
    )
    root.add_argument("--version", action="version", version=f"tinyren {VERSION}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)

    setup = commands.add_parser("setup", help="install system packages and build the firmware, nothing else")
    setup.add_argument("--tests", action="store_true", help="also what only tests use: 64-bit Arm's compiler, NATS")
    setup.add_argument(
        "--agent", action="append", default=[], metavar="B", help="also that board's agent, for a factory"
    )
    setup.add_argument("--json", action="store_true", help="print what stands as one JSON object")
    setup.set_defaults(run=run_setup)

    add_up(commands, run_up)

    verify = commands.add_parser("verify", help="recompute an epoch from its evidence and compare with the chain")
    verify.add_argument("site", type=Path, metavar="SITE", help="the folder that `tinyren up` keeps")
    verify.add_argument("--epoch", type=positive, required=True, metavar="N", help="number of a settled epoch")
    verify.add_argument("--rpc", metavar="URL", help="the chain to compare with (default: the site's own)")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(run=run_verify)

    emulate = commands.add_parser("emulate", help="one emulated board with its REPL on a pty, as a USB board has it")
    emulate.add_argument("--board", required=True, metavar="B", help="which, for instance qemu_virt_rv32")
    emulate.add_argument(
        "--state", type=Path, metavar="DIR", help="keep the board's EEPROM or flash here (default: forgotten)"
    )
    emulate.set_defaults(run=run_emulate)

    bench = commands.add_parser("bench", help="measure bytes, instructions, rates and gas; prints and writes them")
    bench.add_argument(
        "--out", type=Path, default=Path("bench/results.json"), metavar="FILE", help="(default: %(default)s)"
    )
    bench.add_argument("--models", type=Path, metavar="DIR",
                       help="a folder of further .tflite files (default: those of TINYREN_MLPERF_TINY)")  # fmt: skip
    bench.add_argument("--quick", action="store_true", help="little of what grows with a number: rates tell nothing")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(run=run_bench)
    add_model(commands)
    add_cstore(commands)
    add_r1fs(commands)
    add_edil(commands)
    add_job(commands)
    add_flash(commands)
    add_uf2(commands)
    add_offer(commands)
    add_run(commands)
    add_provision(commands)
    add_settings(commands)
    add_label(commands)
    add_bind(commands)
    add_earnings(commands)
    add_audit(commands)
    add_conformance(commands)
    add_simulate(commands)
    add_relay(commands)
    add_escrow(commands)
    add_buyer(commands)
    add_account(commands)
    add_deed(commands)
    add_vote(commands)
    add_work(commands)
    add_release(commands)
    add_gateway(commands)
    add_config(commands)
    reference.describe(root)
    root.format_help = lambda: reference.overview(root)  # type: ignore[method-assign]
    return root


def run_setup(arguments: argparse.Namespace) -> int:
    from boards.hardware import agent_hardware_names
    from gateway.commands.up import set_up
    from gateway.system import NEEDS_OF_TESTS, ensure_packages

    if unknown := set(arguments.agent) - set(agent_hardware_names()):
        wanted = f"wanted one of {', '.join(agent_hardware_names())}"
        raise CommandError(f"--agent: got {', '.join(sorted(unknown))}, {wanted}", Exit.USAGE)
    progress = new_progress()
    if arguments.tests:
        ensure_packages(progress.say, NEEDS_OF_TESTS)
    firmwares = set_up(progress)
    if arguments.agent:
        _build_agents(arguments.agent, progress)
    if arguments.json:
        rows = [{**vars(firmware), "elf": str(firmware.elf)} for firmware in firmwares]
        print_json({"firmwares": rows, "agents": arguments.agent, "total_s": round(progress.elapsed_s(), 2)})
    else:
        progress.say(f"set up: firmware of {', '.join(firmware.board for firmware in firmwares)}")
    return Exit.OK


def _build_agents(names: list[str], progress: Progress) -> None:
    """Have the cache hold what boards of silicon are brought."""
    need("mpremote", "serial")
    from gateway.flashing.agent import agent_files

    for name in names:
        progress.say(f"agent of {name}: {len(agent_files(name, progress))} files")


def run_up(arguments: argparse.Namespace) -> int:
    from gateway.commands.up import summary, up

    progress = new_progress()
    result = up(arguments, progress)
    result["timings_s"]["total"] = round(progress.elapsed_s(), 2)
    if arguments.json:
        print_json(result)
    else:
        print(summary(result))
    return Exit.OK


def run_verify(arguments: argparse.Namespace) -> int:
    from gateway.verify.report import as_json, report
    from gateway.verify.site import verify_site

    result = verify_site(arguments.site, arguments.epoch, arguments.rpc)
    print(as_json(result) if arguments.json else report(result))
    return result.exit_code


def run_emulate(arguments: argparse.Namespace) -> int:
    from gateway.commands.emulate import emulate

    return emulate(arguments, new_progress())


def run_bench(arguments: argparse.Namespace) -> int:
    from gateway.benchmarks.bench import bench
    from gateway.benchmarks.sizes import QUICK, WHOLE
    from gateway.benchmarks.table import table
    from gateway.commands.up import set_up

    progress = new_progress()
    result = bench(progress, set_up(progress), arguments.models, QUICK if arguments.quick else WHOLE)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    progress.say(f"written to {arguments.out}")
    if arguments.json:
        print_json(result)
    else:
        print(table(result))
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
