"""`tinyren model` and `tinyren qualify` on the command line; model_verbs.py and publish.py do the work."""

import argparse
from pathlib import Path
from typing import Any

from gateway.commands.arguments import new_progress, positive, print_json, seed
from gateway.commands.publish import add_publish
from gateway.errors import Exit

BOARDS_HELP = "which boards; cpython, unix_x64 and aarch64 are processes of this computer (default: all)"


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


def add_check_options(command: argparse.ArgumentParser, inputs: int) -> None:
    command.add_argument("--boards", default="all", metavar="A,B", help=BOARDS_HELP)
    command.add_argument("--inputs", type=positive, default=inputs, metavar="N", help="how many (default: %(default)s)")
    command.add_argument("--seed", type=seed, default=1, metavar="S", help="inputs are made from it (default: 1)")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run_model_compile(arguments: argparse.Namespace) -> int:
    from gateway.commands.model_verbs import compile_file

    result = compile_file(arguments)
    if arguments.json:
        print_json(result)
    else:
        print(f"{result['file']}: {result['artifact_bytes']:,} bytes, of {result['model']}")
    return Exit.OK


def run_model_check(arguments: argparse.Namespace) -> int:
    from gateway.commands.model_verbs import check_file, check_text, exit_code

    result = check_file(arguments.model, arguments, new_progress())
    if arguments.json:
        print_json(result)
    else:
        print(check_text(result))
    return exit_code(result)


def run_model_train(arguments: argparse.Namespace) -> int:
    from gateway.commands.model_verbs import train

    return show_written(train(arguments, new_progress()), arguments.json)


def run_model_export(arguments: argparse.Namespace) -> int:
    from gateway.commands.model_verbs import export

    return show_written(export(arguments, new_progress()), arguments.json)


def show_written(result: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(result)
    else:
        print("\n".join(f"{path}: {size:,} bytes" for path, size in result["files"].items()))
    return Exit.OK


def run_qualify(arguments: argparse.Namespace) -> int:
    from gateway.commands.model_verbs import exit_code, qualify
    from models.qualify import table

    results = qualify(arguments, new_progress())
    if arguments.json:
        print_json({"models": results})
    else:
        print(table(results))
    return exit_code(*results)
