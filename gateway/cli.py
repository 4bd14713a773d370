"""The command `tinyren`: reads arguments, calls one function, prints its result; errors become one line and a code."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from gateway.cstore_commands import add_cstore
from gateway.edil.cli import add_edil
from gateway.errors import CommandError, Exit
from gateway.progress import Progress
from gateway.publish import add_publish
from gateway.r1fs_commands import add_r1fs

VERSION = "0.1.0"


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (gateway.errors.Exit)."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except CommandError as error:
        print(f"tinyren: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return Exit.FAILED
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"tinyren: {what}", file=sys.stderr)
        return Exit.FAILED


def parser() -> argparse.ArgumentParser:
    """The whole command line; every option has its help text here and in README.md."""
    root = argparse.ArgumentParser(
        prog="tinyren", description="A Ratio1 Edge Node out of a microcontroller and its gateway."
    )
    root.add_argument("--version", action="version", version=f"tinyren {VERSION}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)

    setup = commands.add_parser("setup", help="install system packages and build the firmware, nothing else")
    setup.add_argument("--aarch64", action="store_true", help="also what runs models as programs for 64-bit Arm")
    setup.add_argument("--json", action="store_true", help="print what stands as one JSON object")
    setup.set_defaults(run=run_setup)

    up = commands.add_parser("up", help="run a site: broker, chain, oracles, page and emulated boards")
    up.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="where it is kept (default: site)")
    up.add_argument(
        "--epochs", type=positive, metavar="N", help="stop after N settled epochs (default: run until Ctrl-C)"
    )
    up.add_argument("--devices", type=positive, metavar="N", help="how many devices (default: one per board)")
    up.add_argument("--boards", metavar="A,B", help="which boards (default: the three of DEFAULT_BOARDS)")
    up.add_argument("--epoch-seconds", type=positive, metavar="S", help="length of an epoch (default: 60)")
    up.add_argument("--window-seconds", type=positive, metavar="S", help="length of a window (default: 5)")
    up.add_argument(
        "--replay", type=readable, metavar="FILE.csv", help="sensor values from a recording, not from this host"
    )
    up.add_argument("--rpc", metavar="URL", help="settle on this chain (JSON-RPC), not on the embedded one")
    up.add_argument(
        "--key", type=readable, metavar="FILE", help="with --rpc: 64 hex digits, the funded key that pays for gas"
    )
    up.add_argument("--port", type=port, metavar="P", help="the page's port (default: 8420, or a free one)")
    up.add_argument("--json", action="store_true", help="print one JSON object at the end")
    up.set_defaults(run=run_up)

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
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(run=run_bench)
    add_model(commands)
    add_cstore(commands)
    add_r1fs(commands)
    add_edil(commands)
    return root


def add_model(commands: Any) -> None:
    """The commands of models: `model compile|check|bench|train|export|publish` and `qualify`."""
    model = commands.add_parser("model", help="compile, check, measure, train, export or publish an int8 model")
    verbs = model.add_subparsers(metavar="VERB", required=True)

    compile_ = verbs.add_parser("compile", help="a .tflite into the artifact that devices run")
    compile_.add_argument("model", type=Path, metavar="M.tflite", help="an int8 model")
    compile_.add_argument("-o", "--out", type=Path, metavar="FILE", help="(default: beside the model, .ren)")
    compile_.add_argument("--json", action="store_true", help="print one JSON object")
    compile_.set_defaults(run=run_model_compile)

    for verb, inputs, text in (
        ("check", 200, "compare a model on boards with tflite-runtime, every byte"),
        ("bench", 2, "instructions, arena and artifact of a model on boards"),
    ):
        check = verbs.add_parser(verb, help=text)
        check.add_argument("model", type=Path, metavar="M.tflite", help="an int8 model")
        add_check_options(check, inputs)
        check.set_defaults(run=run_model_check)

    train = verbs.add_parser("train", help="train a shipped model again, export it and write its files")
    train.add_argument("--elsewhere", type=Path, metavar="DATA", help="data sets that are not in the tree")
    train.add_argument("--parameters-only", action="store_true", help="write the float parameters and export nothing")
    train.set_defaults(run=run_model_train)
    export = verbs.add_parser("export", help="a shipped model's float parameters into int8, artifact, figures and card")
    export.add_argument("--parameters", type=Path, metavar="DIR", help="where they are (default: models/NAME)")
    export.set_defaults(run=run_model_export)
    for command in (train, export):
        command.add_argument("name", metavar="NAME", help="its folder in models/")
        command.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: models/NAME)")
        command.add_argument("--json", action="store_true", help="print one JSON object")

    add_publish(verbs)

    qualify = commands.add_parser("qualify", help="check every shipped model on every board: the matrix of README.md")
    qualify.add_argument("models", type=Path, nargs="*", metavar="M.tflite", help="further models")
    qualify.add_argument("--all", action="store_true", help="all boards and all shipped models (the default)")
    qualify.add_argument("--write-readme", type=Path, nargs="?", const=Path("README.md"), metavar="FILE",
                         help="put the table between its markers in FILE (default: README.md)")  # fmt: skip
    add_check_options(qualify, 200)
    qualify.set_defaults(run=run_qualify)


BOARDS_HELP = "which boards; cpython, unix_x64 and aarch64 are processes of this computer (default: all)"


def add_check_options(command: argparse.ArgumentParser, inputs: int) -> None:
    command.add_argument("--boards", default="all", metavar="A,B", help=BOARDS_HELP)
    command.add_argument("--inputs", type=positive, default=inputs, metavar="N", help="how many (default: %(default)s)")
    command.add_argument("--seed", type=seed, default=1, metavar="S", help="inputs are made from it (default: 1)")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def positive(text: str) -> int:
    """An argument that must be a whole number above zero."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number above 0")
    return value


def port(text: str) -> int:
    """An argument that must be a TCP port."""
    value = positive(text)
    if value > 65535:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a port from 1 to 65535")
    return value


def seed(text: str) -> int:
    """An argument that must be a number of 32 bits."""
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= value < 1 << 32:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 0 to {(1 << 32) - 1}")
    return value


def readable(text: str) -> Path:
    """An argument that must be the path of a file that is there."""
    path = Path(text)
    if not path.exists() or path.is_dir():
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a file that is there")
    return path


def new_progress() -> Progress:
    started = os.environ.get("TINYREN_STARTED")
    return Progress(started_s=float(started) if started else None)


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2), flush=True)


def run_setup(arguments: argparse.Namespace) -> int:
    from gateway.system import AARCH64_NEEDS, ensure_packages
    from gateway.up import set_up

    progress = new_progress()
    if arguments.aarch64:
        ensure_packages(progress.say, AARCH64_NEEDS)
    firmwares = set_up(progress)
    if arguments.json:
        rows = [{**vars(firmware), "elf": str(firmware.elf)} for firmware in firmwares]
        print_json({"firmwares": rows, "total_s": round(progress.elapsed_s(), 2)})
    else:
        progress.say(f"set up: firmware of {', '.join(firmware.board for firmware in firmwares)}")
    return Exit.OK


def run_up(arguments: argparse.Namespace) -> int:
    from gateway.up import summary, up

    progress = new_progress()
    result = up(arguments, progress)
    result["timings_s"]["total"] = round(progress.elapsed_s(), 2)
    if arguments.json:
        print_json(result)
    else:
        print(summary(result))
    return Exit.OK


def run_verify(arguments: argparse.Namespace) -> int:
    from gateway.verify import as_json, report
    from gateway.verify_site import verify_site

    result = verify_site(arguments.site, arguments.epoch, arguments.rpc)
    print(as_json(result) if arguments.json else report(result))
    return result.exit_code


def run_emulate(arguments: argparse.Namespace) -> int:
    from gateway.emulate import emulate

    return emulate(arguments, new_progress())


def run_bench(arguments: argparse.Namespace) -> int:
    from gateway.bench import bench
    from gateway.bench_table import table
    from gateway.up import set_up

    progress = new_progress()
    result = bench(progress, set_up(progress), arguments.models)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    progress.say(f"written to {arguments.out}")
    if arguments.json:
        print_json(result)
    else:
        print(table(result))
    return Exit.OK


def run_model_compile(arguments: argparse.Namespace) -> int:
    from gateway.model import compile_file

    result = compile_file(arguments)
    if arguments.json:
        print_json(result)
    else:
        print(f"{result['file']}: {result['artifact_bytes']:,} bytes, of {result['model']}")
    return Exit.OK


def run_model_check(arguments: argparse.Namespace) -> int:
    from gateway.model import check_file, check_text, exit_code

    result = check_file(arguments.model, arguments, new_progress())
    if arguments.json:
        print_json(result)
    else:
        print(check_text(result))
    return exit_code(result)


def run_model_train(arguments: argparse.Namespace) -> int:
    from gateway.model import train

    return show_written(train(arguments, new_progress()), arguments.json)


def run_model_export(arguments: argparse.Namespace) -> int:
    from gateway.model import export

    return show_written(export(arguments, new_progress()), arguments.json)


def show_written(result: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(result)
    else:
        print("\n".join(f"{path}: {size:,} bytes" for path, size in result["files"].items()))
    return Exit.OK


def run_qualify(arguments: argparse.Namespace) -> int:
    from gateway.model import exit_code, qualify
    from models.qualify import table

    results = qualify(arguments, new_progress())
    if arguments.json:
        print_json({"models": results})
    else:
        print(table(results))
    return exit_code(*results)


if __name__ == "__main__":
    sys.exit(main())
