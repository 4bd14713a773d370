"""What the agent takes of each emulated board: instructions, heap, flash and RAM; refuses to call instructions cycles.

QEMU runs with `-icount shift=0`: time is a count of instructions, whatever machine is below. What is counted is the
agent that the board's own `main` started, its client led to ONLINE by the packets that a broker sends:
  heartbeat  from the bytes of a beacon's PUBLISH to those of the heartbeat's, queued for the link; the mean of BEATS in
             a row, each acknowledged by the gateway before the next beacon (else a late record would be written), with
             the garbage collections that fall between them. Its parts, each on its own:
             sign (`_tinyren.sign`), hash (SHA-256 of the Sig_structure), message (CBOR and COSE), mqtt (what is left)
  encoder    one window through the frozen model
The last heartbeat is checked here: one that no gateway would take is not measured. The heap is read afterwards, free of
garbage: all that lives on it (agent, drivers, the REPL's own), less the model's arena.
"""

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boards.board import Board
from boards.build import Firmware, mpy_cross
from boards.emulator import Emulator, EmulatorError
from boards.frozen import frozen_files
from boards.sources import MICROPYTHON, Report, get_sources
from device.agent import packets, wire
from gateway import curve

BEATS = 64
REPL_S = 60.0
MODEL = Path(__file__).parents[2] / "models" / "host"

# Runs among the globals of boards/qemu_main.py, of which it uses agent, model and _tinyren.
_PROGRAM = r"""
def measure(counter, nanoseconds, beats):
    import gc, hashlib
    from agent import mqtt, packets, wire
    from binascii import hexlify
    from machine import mem32

    def moved(call):
        before = mem32[counter]
        call()
        return (mem32[counter] - before) & 0xFFFFFFFF

    def count(call, times, then=lambda: None):
        gc.collect()
        total = 0
        for _ in range(times):
            total -= moved(lambda: None)
            total += moved(call)
            then()
        return total * nanoseconds // times

    client, identity, now = agent.client, agent.identity, _tinyren.ticks_ms()
    client.lost(now)
    now = (now + 60000) & 0x3FFFFFFF
    client.tick(now)
    client.written(len(client.pending()))
    client.feed(b"\x20\x02\x00\x00", now)
    while client.state == mqtt.SUBSCRIBING:
        subscribe = bytes(client.pending())
        client.written(len(subscribe))
        at, granted = 2 + (subscribe[1] >> 7), b"\x01" * subscribe.count(b"tinyren/")
        client.feed(bytes([0x90, 2 + len(granted)]) + subscribe[at : at + 2] + granted, now)
    assert client.state == mqtt.ONLINE

    beacons, last = [], b""
    for window in range(beats, 0, -1):
        beacon = wire.make_beacon(1, window, bytes(32))
        beacons.append(packets.publish("tinyren/beacon", wire.encode_beacon(beacon, 5000), window))

    def take():
        nonlocal last
        last = bytes(client.pending())
        client.written(len(last))
        beacons.pop()
        agent.receive(wire.topic(identity.id, "ack").encode(), wire.encode_ack(agent.boot, agent.sequence), now)

    found = {"heartbeat": count(lambda: client.feed(beacons[-1], now), beats, take)}
    digest, structure = bytes(32), bytes(120)
    window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)
    claims = beacon, agent.boot, agent.sequence, model.cid, 0, bytes(16), 0
    signature = identity.sign(digest)
    found["sign"] = count(lambda: identity.sign(digest), 16)
    found["hash"] = count(lambda: hashlib.sha256(structure).digest(), 64)
    made = count(lambda: wire.sign_heartbeat(identity.id, lambda _: signature, *claims), 64)
    found["message"] = made - found["hash"]
    found["encoder"] = count(lambda: model.run(window, out), 64)
    return [found, hexlify(identity.id).decode(), hexlify(last).decode()]
"""
_RUN = "import json\nprint(json.dumps(measure({address}, {nanoseconds}, {beats})))\ndel measure"
_HEAP = "import gc\ngc.collect()\nprint(gc.mem_alloc() - model.arena_bytes, model.arena_bytes, gc.mem_free())"


def measure(board: Board, firmware: Firmware) -> dict[str, Any]:
    """{"core", "compiler", "firmware", "instructions", "heap_bytes", "flash_bytes", "ram_bytes"} of one board.

    Raises:
        EmulatorError: QEMU or the board failed, or the board's heartbeat was no good.
    """
    counter = board.emulator["counter"]
    with TemporaryDirectory() as folder, Emulator(board, firmware.elf, folder, icount=True) as emulator:
        with emulator.open_repl(REPL_S) as repl:
            repl.exec(_PROGRAM)
            found, device, sent = json.loads(repl.exec(_RUN.format(beats=BEATS, **counter)))
            used, arena, free = map(int, repl.exec(_HEAP).split())
    check_heartbeat(board.name, bytes.fromhex(device), bytes.fromhex(sent))
    parts = {name: found[name] for name in ("sign", "message", "hash")}
    parts["mqtt"] = found["heartbeat"] - sum(parts.values())
    macs: int = json.loads((MODEL / "figures.json").read_text())["facts"]["macs"]
    return {
        "core": board.core,
        "firmware": firmware.version,
        "compiler": f"{board.toolchain['compiler']} {_printed(board.toolchain['compiler'], '-dumpversion')}",
        "instructions": {
            "heartbeat": found["heartbeat"],
            "heartbeat_parts": parts,
            "sign": found["sign"],
            "encoder": found["encoder"],
            "encoder_macs": macs,
            "per_mac": round(found["encoder"] / macs, 2),
        },
        "heap_bytes": {"agent": used, "arena": arena, "free": free, "all": firmware.heap_bytes},
        "flash_bytes": {"used": firmware.flash_bytes, "budget": board.flash_budget_bytes},
        "ram_bytes": {"used": firmware.ram_bytes, "budget": board.ram_budget_bytes},
    }


def mpy_bytes(board: Board, report: Report) -> dict[str, int]:
    """Bytecode of what the board freezes beside the encoder, bytes: {"agent", "drivers", "main", "all"}."""
    cross = mpy_cross(get_sources(report)[MICROPYTHON], report)
    sizes = {"agent": 0, "drivers": 0, "main": 0}
    with TemporaryDirectory() as folder:
        source, compiled = Path(folder, "source.py"), Path(folder, "compiled.mpy")
        for name, content in frozen_files(board).items():
            part = name.split("/")[0].removesuffix(".py")
            if part in sizes:
                source.write_bytes(content)
                subprocess.run([cross, "-o", compiled, source], check=True)
                sizes[part] += compiled.stat().st_size
    return {**sizes, "all": sum(sizes.values())}


def check_heartbeat(name: str, device: bytes, sent: bytes) -> None:
    """Raises EmulatorError unless `sent` begins with the PUBLISH of the last heartbeat, signed by `device`."""
    reader = packets.Reader(len(sent))
    reader.read(sent, 0)
    topic, _, frame = packets.split_publish(reader.head, reader.body)
    signer, payload, signature, digest = wire.open_sign1(bytes(frame))
    beacon, _, sequence, *_ = wire.decode_heartbeat(payload)
    good = signer == device and curve.recover(signature, digest, device) is not None
    if not good or sequence != BEATS or wire.split_beacon(beacon) != (1, BEATS):
        raise EmulatorError(f"{name}: got heartbeat {sequence} on {bytes(topic)!r}, wanted {BEATS}, signed")


def _printed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
