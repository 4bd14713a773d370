"""Runs the agent as a process on CPython: a device of this computer, the same agent as on a board.

    python -m device.agent --broker HOST:PORT --store FILE [--source KIND] [--ca FILE] [--board NAME] [--fast]
        [--vector FILE] [--watchdog S] [--forget-owner]

FILE of --store keeps key, boot number and owner; beside it, from when it is needed on, FILE.banks what updates
installed (UPDATE.md), FILE.ring late records (WIRE.md, 10) and FILE.journal the last lines. KIND is where samples come
from (sources/); without it they are waves that it computes, and says so. With --ca the link is TLS, and the broker's
certificate must be by that authority, for HOST. FILE of --vector holds what EDIL's rounds of kind 5 ask for, a JSON
array of integers, and is read anew for each. With --fast tflite-runtime runs the model: no receipt is signed, count and
chain of heartbeats stay as at boot. A loop that does not turn for S seconds restarts itself, and so does a device that
is to try an update: by exec of the same command. With --forget-owner it only frees the device for another owner:
whoever can write the store holds the device.

It prints one line of JSON {id, ren, boot, attested} each time it begins, {light} while it shows which device it is, and
ends on SIGINT and SIGTERM, without DISCONNECT, so that the broker tells that it is gone. Exit codes: 0 ended, 1 cannot
run, 2 wrong arguments; the cause is one line on stderr.
"""

import argparse
import functools
import json
import signal
import ssl
import sys
from pathlib import Path

from ..native.shared import Model, NativeError
from . import host, loader, loop, owner, run, safe
from .banks import Banks
from .boot import Boot, describe
from .errors import AgentError
from .identity import eip55
from .phases import AGENT as AGENT_KIND
from .phases import MODEL as MODEL_KIND
from .port import FileMemory, Port
from .sampling import CHANNELS
from .sources import KINDS, open_source, short
from .store import Store

MODEL = Path(__file__).parents[2] / "models" / "host" / "encoder.ren"
UNATTESTED = ", unattested"
INT16, SAMPLE_MS_RANGE = (-32768, 32767), (1, 60_000)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m device.agent", description="Run a device on this computer.")
    parser.add_argument("--broker", required=True, metavar="HOST:PORT", help="where the MQTT broker listens")
    parser.add_argument("--store", required=True, metavar="FILE", help="keeps key, boot number and owner")
    parser.add_argument("--source", metavar="KIND", help=f"where samples come from: {KINDS} (default: waves)")
    parser.add_argument("--replay", metavar="FILE.csv", help="the same as --source csv:FILE.csv")
    parser.add_argument("--link-samples", action="store_true", help="the same as --source link")
    parser.add_argument("--root", default="/", metavar="DIR", help="holds sys and proc (default: %(default)s)")
    parser.add_argument("--ca", metavar="FILE", help="TLS: certificates (PEM) of who may vouch for the broker")
    parser.add_argument("--board", default="cpython", help="board name that is announced (default: %(default)s)")
    parser.add_argument("--model", type=Path, metavar="FILE",
                        help="compiled encoder, or .tflite with --fast; its FOLDER.json lies beside it")  # fmt: skip
    parser.add_argument("--fast", action="store_true", help="run the model by tflite-runtime, which signs no receipt")
    parser.add_argument("--watchdog", type=float, default=host.WATCHDOG_S, metavar="S",
                        help="seconds without a turn until it restarts itself (default: %(default)s)")  # fmt: skip
    parser.add_argument("--vector", type=Path, metavar="FILE", help="integers that a round may ask for, a JSON array")
    parser.add_argument("--forget-owner", action="store_true", help="free the device for another owner, and end")
    options = parser.parse_args(arguments)
    if options.forget_owner and not Path(options.store).is_file():
        parser.error(f"--store: got {options.store}, wanted the file that this device runs with")
    name, _, number = options.broker.rpartition(":")
    if not name or not number.isdigit():
        parser.error(f"--broker: got {options.broker}, wanted HOST:PORT")
    kinds = [options.source, options.replay and f"csv:{options.replay}", options.link_samples and "link"]
    given = [kind for kind in kinds if kind]
    if len(given) > 1:
        parser.error(f"--source, --replay, --link-samples: got {' and '.join(given)}, wanted one")
    options.source = given[0] if given else "waves"
    if options.fast and options.source == "link":
        parser.error("--fast: got samples over the link, wanted another source: only who sends them names them")
    if not options.watchdog > 0:
        parser.error(f"--watchdog: got {options.watchdog}, wanted seconds above 0")
    options.model = options.model or MODEL.with_suffix(".tflite" if options.fast else ".ren")
    options.host, options.number = name, int(number)
    return options


def open_model(options):
    """(encoder, what it wants of a sampler: offsets, shifts, sample_ms); raises ValueError, OSError or NativeError."""
    content = options.model.read_bytes()
    if options.fast:
        from ..native.fast import FastModel

        model = FastModel(content)
    else:
        model = Model(content)
    return model, read_wants(options.model.with_name(options.model.resolve().parent.name + ".json"), model.input_bytes)


def read_vector(path):
    """The integers of a file of --vector; raises OSError, or ValueError if it holds something else."""
    numbers = json.loads(path.read_text())
    if type(numbers) is not list or any(type(number) is not int for number in numbers):
        raise ValueError(f"{path}: got something else, wanted a JSON array of integers")
    return numbers


def read_wants(path, input_bytes):
    """(offsets, shifts, sample_ms), by the JSON beside a model with so long an input; raises ValueError, OSError."""
    facts = json.loads(path.read_text())
    try:
        samples, channels = facts["window"]
        offsets, shifts, sample_ms = (facts[name] for name in ("offsets", "shifts", "sample_ms"))
        are_good = len(offsets) == len(shifts) == channels <= CHANNELS and samples * channels == input_bytes
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: wanted window, offsets, shifts and sample_ms") from error
    if not are_good:
        raise ValueError(f"{path}: got a window of {samples} samples, {channels} channels, {len(offsets)} offsets and "
                         f"{len(shifts)} shifts, wanted those of an input of {input_bytes} bytes")  # fmt: skip
    numbers = [("offsets", offset, INT16) for offset in offsets] + [("shifts", shift, (0, 15)) for shift in shifts]
    for name, value, (least, most) in [*numbers, ("sample_ms", sample_ms, SAMPLE_MS_RANGE)]:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{path}: {name}: got {value!r}, wanted a whole number from {least} to {most}")
    return offsets, shifts, sample_ms


def open_named_source(options, sample_ms):
    """The source, its name as it is announced: one whose outputs nobody attests says so."""
    source = open_source(options.source, options.root, sample_ms)
    suffix = UNATTESTED if options.fast else ""
    source.name = short(source.name, suffix)
    return source


def tell_refusals(port):
    """Function that tells why a broker's certificate is refused, once each time it changes."""
    told = None

    def tell():
        nonlocal told
        if port.refusal != told:
            told = port.refusal
            if told:
                print(f"device.agent: link: the broker's certificate is refused: {told}", file=sys.stderr, flush=True)

    return tell


def open_own(options):
    """What the options name: (encoder, what it wants of a sampler, source, vector function or None)."""
    model, wants = open_model(options)
    source = open_named_source(options, wants[2])
    vector = options.vector and functools.partial(read_vector, options.vector)
    if vector:
        vector()
    return model, wants, source, vector


def begin(options, own, port, memory, boot, kept):
    """(agent, its function step) of this boot: what updates installed, and else what is our own."""
    if boot.is_safe:
        return safe.start(port, memory, boot), run.step
    model, wants, source, vector = own
    bank = boot.bank_of(MODEL_KIND)
    if bank:
        artifact = bytearray(boot.model.size)
        bank.read(0, artifact)
        model = Model(artifact)
    if boot.wants:
        wants, source = boot.wants, open_named_source(options, boot.wants[2])
    bank = boot.bank_of(AGENT_KIND)
    what = loader.load(bank, boot.agent.size) if bank else run
    return what.start(port, memory, source, model, *wants, vector, boot=boot, **kept), what.step


def live(options, own, port, memory, boot, kept):
    """Run this boot until SIGINT or SIGTERM; what ends it otherwise is a reset. What was installed and fails is told to
    boot; what this computer lacks for its own agent is raised.
    """
    feed, tell = host.watch(options.watchdog), tell_refusals(port)
    try:
        agent, step = begin(options, own, port, memory, boot, kept)
        agent.switch = lambda is_on: print(json.dumps({"light": is_on}), flush=True)
        me = agent.identity
        hello = {"id": eip55(me.id, port.keccak256), "ren": me.address, "boot": agent.boot}
        print(json.dumps({**hello, "attested": not options.fast}), flush=True)
        if options.fast:
            print("device.agent: --fast: outputs are not attested, no receipt is signed", file=sys.stderr, flush=True)
        loop.run(agent, port, step, boot, lambda: (feed(), tell()))
    except (Exception, SystemExit) as error:
        if not boot.bank_of(MODEL_KIND) and not boot.bank_of(AGENT_KIND):
            raise
        print(f"device.agent: {describe(error)}", file=sys.stderr, flush=True)
        kept["journal"].note(0, f"error: {describe(error)}")
        boot.fail(describe(error))
    host.restart("asked")


def forget_owner(memory, banks) -> int:
    """Forget whose the device is; prints {"forgot"}, an address or null. ValueError: the store holds no key."""
    store = Store(memory)
    store.open(refuse_key)
    was = store.owner
    if was:
        owner.forget(store, banks)
    print(json.dumps({"forgot": was and f"0x{was.hex()}"}), flush=True)
    return 0


def refuse_key():
    raise ValueError("--forget-owner: got a store without a key, wanted the one that this device runs with")


def main(arguments=None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
        port = Port(options.host, options.number, options.board, tls=tls)
        own = open_own(options)
        memory = FileMemory(options.store)
        area, models, agents = host.open_banks(f"{options.store}.banks")
        banks = Banks(area, () if options.fast else models, agents)
        if options.forget_owner:
            return forget_owner(memory, banks)
        reset = host.take_reset()
        ring, journal = f"{options.store}.ring", f"{options.store}.journal"
        kept = {"ring": host.open_ring(ring), "journal": host.open_journal(journal, reset)}
        live(options, own, port, memory, Boot(banks, options.board, reset, port.ticks_ms()), kept)
    except KeyboardInterrupt:
        return 0
    except (OSError, ValueError, AgentError, NativeError) as error:
        print(f"device.agent: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
