"""The arguments of `tinyren edil` and `tinyren shareholder`; what they do is in commands.py and trusted.py."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from gateway.commands.arguments import positive
from gateway.edil.publish import add_publish
from gateway.errors import CommandError, Exit

URL = "http://127.0.0.1:8420"
RIDGE = 0.001
FALSE_ALARMS = 0.01
DEFAULT_LEAST = 8


def add_edil(commands: Any) -> None:
    """Add the groups `shareholder` and `edil` to the subparsers of `tinyren`."""
    holder = commands.add_parser("shareholder", help="answer closed sets of rounds that name this key")
    _add_key(holder, "this share-holder's key")
    _add_gateways(holder)
    _add_counting(holder, DEFAULT_LEAST, required=True)
    holder.add_argument("--state", type=Path, metavar="FILE", help="answers given, for ever (default: KEY.answers)")
    holder.add_argument("--once", action="store_true", help="look once and end: 5 if there was nothing to answer")
    holder.add_argument("--poll-seconds", type=positive, default=2, metavar="S", help="pause (default: 2)")
    _finish(holder, "run_shareholder")

    edil = commands.add_parser("edil", help="encrypted rounds: announce, open, fit, evaluate, infer; a demo")
    verbs = edil.add_subparsers(metavar="VERB", required=True)
    _add_asking(verbs)
    _add_reading(verbs)
    _add_using(verbs)
    _add_trusted(verbs.add_parser("trusted", help="NOT encrypted by devices: the gateway reads each one's values"))


def _add_asking(verbs: Any) -> None:
    keygen = verbs.add_parser("keygen", help="make a data owner's or share-holder's key")
    keygen.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="where it is kept, mode 0600")
    _finish(keygen, "run_keygen")

    enrol = verbs.add_parser("enrol", help="owners let their devices encrypt to holders")
    enrol.add_argument("--owner-key", type=Path, action="append", required=True, metavar="FILE",
                       help="an owner's key; again for more owners")  # fmt: skip
    enrol.add_argument("--holder", action="append", required=True, metavar="KEY",
                       help="66 hex digits; the data owner's first, then each share-holder's")  # fmt: skip
    enrol.add_argument("--chain-id", type=positive, required=True, metavar="N", help="the chain of Devices")
    enrol.add_argument("--contract", required=True, metavar="ADDRESS", help="the contract Devices")
    enrol.add_argument("--number", type=positive, default=1, metavar="N", help="above the last one (default: 1)")
    _add_gateways(enrol)
    _finish(enrol, "run_enrol")

    announce = verbs.add_parser("announce", help="sign a round and give it to gateways")
    _add_key(announce, "the data owner's key")
    announce.add_argument("--holder", action="append", required=True, metavar="KEY",
                          help="66 hex digits of each share-holder, without the data owner's own")  # fmt: skip
    _add_gateways(announce)
    announce.add_argument("--plan", type=Path, metavar="FILE.toml", help="fields of the round; options go before it")
    announce.add_argument("--kind", help="moments, classes, decoder, inference or vector")
    announce.add_argument("--model", metavar="NAME.json", help="the model's facts: models/NAME/NAME.json")
    numbers = {
        "classes": "how many", "first-row": "of the window, kind decoder", "rows": "how many, kind decoder or vector",
        "windows": "each device adds up (default: 32)", "clip": "values to -clip..clip (default: 127)",
        "k-min": "least number of devices (default: 8)", "digits": "of a value (default: the least that fit)",
        "ring": "1024, 2048 or 4096 (default: the least)", "round": "number (default: seconds since 1970)",
        "duration-s": "then devices send what they have (default: 120)", "deadline-s": "from now (default: 600)",
    }  # fmt: skip
    for name, text in numbers.items():
        announce.add_argument(f"--{name}", type=_natural, metavar="N", help=text)
    announce.add_argument("--weight", type=_weight, action="append", default=[], metavar="ID=W",
                          help="a device that counts 2 to 4 times; again for more devices")  # fmt: skip
    announce.add_argument("--part", action="store_true", help="one of several gateways, to be merged")
    announce.add_argument("--out", type=Path, metavar="FILE", help="also write the signed manifest here")
    announce.add_argument("--dry-run", action="store_true", help="sign nothing; show the round")
    _finish(announce, "run_announce")


def _add_reading(verbs: Any) -> None:
    watch = verbs.add_parser("watch", help="follow a round until it is closed and answered")
    _add_round(watch)
    watch.add_argument("--timeout", type=positive, default=600, metavar="S", help="then code 7 (default: 600)")
    _finish(watch, "run_watch")

    close = verbs.add_parser("close", help="close a round before its deadline")
    _add_round(close)
    _finish(close, "run_close")

    merge = verbs.add_parser("merge", help="join the parts of a round at several gateways, at the first of them")
    merge.add_argument("round", metavar="M", help="the manifest's digest, 64 hex digits")
    _add_gateways(merge)
    _finish(merge, "run_merge")

    opened = verbs.add_parser("open", help="check a closed round and its shares, and decrypt the sums")
    _add_key(opened, "the data owner's key")
    _add_round(opened)
    _add_counting(opened, 1, required=False)
    opened.add_argument("-o", "--out", type=Path, metavar="FILE", help="exact sums as JSON (default: stdout)")
    _finish(opened, "run_open")


def _add_using(verbs: Any) -> None:
    fit = verbs.add_parser("fit", help="mean, covariance, PCA, anomaly threshold, head or decoder from sums")
    fit.add_argument("sums", type=Path, metavar="SUMS.json", help="what `edil open` wrote")
    fit.add_argument("--model", type=Path, required=True, metavar="NAME.json", help="the model's facts")
    fit.add_argument("--ridge", type=float, default=RIDGE, metavar="X", help="penalty (default: %(default)s)")
    fit.add_argument("--false-alarms", type=_share, default=FALSE_ALARMS, metavar="X",
                     help="ordinary windows above the threshold (default: %(default)s)")  # fmt: skip
    fit.add_argument("-o", "--out", type=Path, metavar="FILE", help="(default: stdout)")
    _finish(fit, "run_fit")

    evaluate = verbs.add_parser("evaluate", help="accuracy of a fitted head on labelled embeddings")
    evaluate.add_argument("fit", type=Path, metavar="FIT.json", help="what `edil fit` wrote")
    evaluate.add_argument("data", type=Path, metavar="DATA.csv", help="a row: class, then the embedding's integers")
    _finish(evaluate, "run_evaluate")

    add_publish(verbs)

    infer = verbs.add_parser("infer", help="a gateway applies a head to encrypted embeddings; read the logits")
    _add_key(infer, "the data owner's key")
    _add_round(infer)
    infer.add_argument("--fit", type=Path, required=True, metavar="FIT.json", help="holds the head")
    _finish(infer, "run_infer")

    demo = verbs.add_parser("demo", help="a whole site in one process tree: encrypted round, attacks, fitted head")
    demo.add_argument("--devices", type=positive, default=16, metavar="N", help="how many (default: 16)")
    demo.add_argument("--boards", default="qemu_mps2_an385,qemu_mps2_an500,qemu_virt_rv32", metavar="A,B",
                      help="emulated ones among them; none: an empty text")  # fmt: skip
    demo.add_argument("--keep", type=Path, metavar="DIR", help="keep its files here (default: forgotten)")
    _finish(demo, "run_demo")


def _add_trusted(trusted: argparse.ArgumentParser) -> None:
    """Gateway-trusted rounds (EDIL.md, section 8): verbs of their own, so that none is ever taken for another."""
    verbs = trusted.add_subparsers(metavar="VERB", required=True, help="keygen, announce, watch or open")
    keygen = verbs.add_parser("keygen", help="make a data owner's CKKS key for gateway-trusted rounds")
    keygen.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="where it is kept, mode 0600")
    _finish(keygen, "run_keygen", "trusted")

    announce = verbs.add_parser("announce", help="open a gateway-trusted round at one gateway")
    announce.add_argument("--confidentiality", required=True, choices=["gateway-trusted"], help="say it in words")
    _add_trusted_key(announce)
    announce.add_argument("--name", required=True, metavar="TEXT", help="what the round is called")
    for name, text in (("values", "how many a device sends, to 4096"), ("bound", "largest magnitude of a value")):
        announce.add_argument(f"--{name}", type=positive, required=True, metavar="N", help=text)
    announce.add_argument("--k-min", type=positive, default=8, metavar="N", help="devices, at least (default: 8)")
    announce.add_argument("--deadline-s", type=positive, default=600, metavar="N", help="from now (default: 600)")
    announce.add_argument("--gateway", default=URL, metavar="URL", help="its page (default: %(default)s)")
    _finish(announce, "run_announce", "trusted")

    watch = verbs.add_parser("watch", help="follow a gateway-trusted round until its deadline has closed it")
    _add_trusted_round(watch)
    watch.add_argument("--timeout", type=positive, default=600, metavar="S", help="then code 7 (default: 600)")
    _finish(watch, "run_watch", "trusted")

    opened = verbs.add_parser("open", help="check a gateway-trusted round's record and decrypt its sum")
    _add_trusted_key(opened)
    _add_trusted_round(opened)
    opened.add_argument("-o", "--out", type=Path, metavar="FILE", help="the sum as JSON (default: stdout)")
    _finish(opened, "run_open", "trusted")


def _add_trusted_key(command: argparse.ArgumentParser) -> None:
    command.add_argument("--key", type=Path, required=True, metavar="FILE", help="what `edil trusted keygen` wrote")


def _add_trusted_round(command: argparse.ArgumentParser) -> None:
    command.add_argument("round", metavar="R", help="the round's digest, 64 hex digits")
    command.add_argument("--gateway", default=URL, metavar="URL", help="its page (default: %(default)s)")


def _add_key(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--key", type=Path, required=True, metavar="FILE", help=f"64 hex digits, {what}")


def _add_gateways(command: argparse.ArgumentParser) -> None:
    command.add_argument("--gateway", action="append", metavar="URL", help=f"a page's; again for more (default: {URL})")


def _add_round(command: argparse.ArgumentParser) -> None:
    command.add_argument("round", metavar="M", help="the manifest's digest, 64 hex digits")
    command.add_argument("--gateway", default=URL, metavar="URL", help="its page (default: %(default)s)")


def _add_counting(command: argparse.ArgumentParser, least: int, required: bool) -> None:
    which = command.add_mutually_exclusive_group(required=required)
    which.add_argument("--rpc", metavar="URL", help="count devices that are bound on this chain; with --contract")
    which.add_argument("--devices", type=Path, metavar="FILE", help="count those of a file: a line each, ID [OWNER]")
    which.add_argument("--any-device", action="store_true", help="count any key: k_min is then worth nothing")
    command.add_argument("--contract", metavar="ADDRESS", help="with --rpc: the contract Devices")
    command.add_argument("--least", type=positive, default=least, metavar="N",
                         help="devices in any sum, whatever k_min is (default: %(default)s)")  # fmt: skip


def _finish(command: argparse.ArgumentParser, name: str, module: str = "commands") -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=_late(module, name))


def _late(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """A function of a module here, which is imported, and numpy with it, only when it is called."""

    def run(arguments: argparse.Namespace) -> int:
        try:
            commands = import_module(f"gateway.edil.{module}")
        except ModuleNotFoundError as error:
            raise CommandError(f"{error.name} is not installed: pip install tinyren[edil]", Exit.USAGE) from error
        return int(getattr(commands, name)(arguments))

    return run


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number")
    return int(text)


def _weight(text: str) -> tuple[bytes, int]:
    name, _, weight = text.partition("=")
    try:
        device = bytes.fromhex(name.removeprefix("0x"))
        if len(device) != 20 or weight not in ("1", "2", "3", "4"):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a device's id, = and 1 to 4") from None
    return device, int(weight)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a number between 0 and 1")
    return value
