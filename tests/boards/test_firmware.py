"""The firmware of each emulated board, on the board: `_tinyren` against other implementations, its link and console."""

import ast
import random
import socket

import coincurve
import psutil
import pytest
from eth_hash.auto import keccak
from mpremote.transport_serial import SerialTransport

from boards.board import agent_board_names, load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from tests import curve_calls
from tests.agent.test_natmod import ARTIFACT, FILL, LOCKED, RUN, WINDOWS, expected

SENSOR_BOARDS = [name for name in agent_board_names() if load_board(name).emulator["sensors"]]
DRAIN = "while t.link_read(bytearray(256)): pass\n"


class Wired:
    """A running board whose agent was interrupted: its REPL, and the socket at the other end of its link."""

    def __init__(self, name, folder, **options):
        self.board = load_board(name)
        self.firmware = build(self.board, lambda *_: None)
        self._options, self._folder = options, folder

    def __enter__(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(30)
            link = server.getsockname()
            self.emulator = Emulator(self.board, self.firmware.elf, self._folder, link=link, **self._options)
            self.emulator.start()
            self.link, _ = server.accept()
        self.link.settimeout(30)
        self.repl = SerialTransport(self.emulator.pty)
        self.repl.enter_raw_repl(soft_reset=False, timeout_overall=30)
        return self

    def __exit__(self, *_):
        self.repl.serial.close()
        self.link.close()
        self.emulator.stop()

    def run(self, code):
        """What the code printed, and the last line of what it raised."""
        printed, raised = self.repl.exec_raw("import _tinyren as t\n" + code, timeout=30)
        return printed.decode(), (raised.decode().strip().splitlines() or [""])[-1]

    def value(self, expression, setup="pass"):
        printed, raised = self.run(f"{setup}\nprint(repr({expression}))")
        assert not raised
        return ast.literal_eval(printed)

    def received_until(self, mark):
        received = b""
        while not received.endswith(mark):
            received += self.link.recv(1)  # not one byte of what follows the mark
        return received.removesuffix(mark)


@pytest.fixture(scope="module", params=agent_board_names())
def wired(request, tmp_path_factory):
    with Wired(request.param, tmp_path_factory.mktemp(request.param)) as board:
        yield board


def test_the_module_names_board_core_and_version(wired):
    assert wired.value("(t.BOARD, t.CORE)") == (wired.board.name, wired.board.core)
    assert wired.value("t.VERSION") == wired.firmware.version


def test_keys_digests_and_signatures_that_are_none_are_refused_by_name(wired):
    before = wired.value("t.sign(b'1' * 32, b'2' * 32)")
    for call, message in curve_calls.REFUSALS:
        assert wired.run("t." + call) == ("", message), call
    assert wired.value("t.sign(b'1' * 32, b'2' * 32)") == before


def test_keccak_is_that_of_ethereum_at_each_edge_of_its_block(wired):
    sizes = (0, 1, 31, 32, 135, 136, 137, 271, 272, 273, 1000)
    digests = wired.value(f"[t.keccak256(bytes(i & 255 for i in range(n))) for n in {sizes}]")
    assert digests == [keccak(bytes(i & 255 for i in range(n))) for n in sizes]


def test_signatures_and_public_keys_of_20_keys_are_those_of_coincurve(wired):
    seeded = random.Random(1)
    pairs = [(seeded.randrange(1, curve_calls.ORDER).to_bytes(32, "big"), seeded.randbytes(32)) for _ in range(20)]
    got = wired.value(f"[(t.pubkey(k), t.sign(k, d)) for k, d in {pairs}]")
    keys = [(coincurve.PrivateKey(key), digest) for key, digest in pairs]
    assert got == [(k.public_key.format(compressed=False), k.sign_recoverable(d, hasher=None)) for k, d in keys]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("t.entropy(b'constant')", "TypeError: object with buffer protocol required"),
        ("t.Model(bytearray(40))", "TypeError: artifact: wanted bytes"),
        ("t.Model(bytes(40))", "ValueError: artifact is not as long as its header says"),
        ("m.run(b, bytearray(m.output_bytes + 1))", "ValueError: out: got 17 bytes, wanted 16"),
        ("m.run(b[1:], bytearray(m.output_bytes))", "ValueError: window: got 127 bytes, wanted 128"),
        ("m.run(b, memoryview(b)[:m.output_bytes])", "ValueError: out: shares memory with window"),
    ],
)
def test_a_bad_argument_is_refused_with_its_name_and_changes_nothing(wired, call, message):
    setup = "from host_model import ARTIFACT\nm = t.Model(ARTIFACT)\nb = bytearray(m.input_bytes)\n"
    assert wired.run(setup + call) == ("", message)
    assert wired.value("b == bytearray(m.input_bytes)") is True


def test_entropy_fills_every_byte_and_differs_each_time(wired):
    first, second = wired.value(
        "[bytes(b) for b in drawn]", "drawn = bytearray(1000), bytearray(1000)\nfor b in drawn: t.entropy(b)"
    )
    assert first != second
    assert all(len(set(drawn)) > 200 and any(drawn[-32:]) for drawn in (first, second))


def test_idle_sleeps_for_its_time_and_both_clocks_go_on(wired):
    setup = DRAIN + "us, ms = t.ticks_us(), t.ticks_ms()\nt.idle(300)"
    us, ms = wired.value("(t.ticks_us() - us, t.ticks_ms() - ms)", setup)
    assert us % 2**30 >= 300_000
    assert ms % 2**30 >= 300


def test_idle_returns_when_a_byte_comes_over_the_link(wired):
    wired.run(DRAIN + "t.link_write(b'<go>')")
    wired.received_until(b"<go>")
    wired.link.sendall(b"x")
    setup = "b, ms = bytearray(1), t.ticks_ms()\nt.idle(60000)"
    waited_ms, got = wired.value("(t.ticks_ms() - ms, (t.link_read(b), bytes(b)))", setup)
    assert waited_ms % 2**30 < 60000
    assert got == (1, b"x")


def test_the_link_carries_every_byte_both_ways_in_order(wired):
    sent = random.Random(2).randbytes(5000)
    wired.link.sendall(sent)
    wired.run(
        "held, size, buffer = bytearray(b'<<<<<<<<'), 0, bytearray(100)\n"
        f"while len(held) < {len(sent) + 8}:\n"
        "    t.idle(1000)\n"
        "    held.extend(buffer[: t.link_read(buffer)])\n"
        "held.extend(b'>>>>>>>>')\n"
        "while size < len(held):\n"
        "    size += t.link_write(memoryview(held)[size:])\n"
    )
    assert wired.received_until(b">>>>>>>>").split(b"<<<<<<<<")[1] == sent


def test_a_sleeping_board_leaves_the_host_alone(wired):
    process = psutil.Process(wired.emulator.qmp("query-cpus-fast")[0]["thread-id"])
    before_s = sum(process.cpu_times()[:2])
    wired.run(DRAIN + "t.idle(1000)")
    assert sum(process.cpu_times()[:2]) - before_s < 0.25  # of 1 s, all of which it would be if it spun


def test_ctrl_c_stops_a_program_that_never_sleeps(wired):
    wired.repl.exec_raw_no_follow("while True: pass")
    wired.repl.serial.write(b"\x03")
    assert wired.repl.follow(timeout=30)[1].decode().strip().endswith("KeyboardInterrupt:")


def test_a_soft_reset_starts_the_frozen_main_again(wired):
    wired.repl.exit_raw_repl()
    wired.repl.serial.write(b"\x04")
    wired.received_until(b"MQTT")
    wired.repl.enter_raw_repl(soft_reset=False, timeout_overall=30)
    assert wired.value("model.arena_bytes") > 0 and wired.value("boot.is_safe") is False


def test_the_source_that_the_board_announces_is_the_one_of_its_file(wired):
    assert wired.value("core.open_source().name", setup="import core") == wired.board.source


def test_another_boot_draws_other_entropy(wired, tmp_path):
    draw = {"expression": "bytes(b)", "setup": "b = bytearray(32)\nt.entropy(b)"}
    with Wired(wired.board.name, tmp_path) as other:
        assert other.value(**draw) != wired.value(**draw)


@pytest.mark.parametrize("name", SENSOR_BOARDS)
def test_i2c_reads_the_registers_that_the_emulator_was_told(name, tmp_path):
    with Wired(name, tmp_path) as wired:
        wired.emulator.set_sample((25 * 256 + 128, 1, 2, 3))
        setup = f"i2c = t.I2C({wired.board.i2c_bus})"
        assert wired.value("i2c.scan()", setup) == [0x1E, 0x48, *range(0x50, 0x57)]
        assert wired.value("i2c.readfrom_mem(0x48, 0, 2)", setup) == b"\x19\x80"
        assert wired.run("i2c.readfrom(9, 1)") == ("", "OSError: [Errno 19] ENODEV")
        assert wired.run("t.I2C(4)") == ("", "ValueError: I2C bus: got 4, wanted 0..3")


@pytest.fixture(scope="module")
def microbit(tmp_path_factory):
    """The board of 16 KiB of RAM with the encoder in its flash, `model` made of it there."""
    board, folder = load_board("qemu_microbit"), tmp_path_factory.mktemp("microbit")
    firmware = build(board, lambda *_: None)
    image = board.emulator["images"][0]
    (folder / image["file"]).write_bytes(ARTIFACT.ljust(image["bytes"], b"\xff"))
    with Emulator(board, firmware.elf, folder, icount=True) as emulator, emulator.open_repl() as repl:
        repl.exec(f"import gc, _tinyren as t\nmodel = t.Model(0x30000, {len(ARTIFACT)})\n{FILL}")
        yield firmware, emulator, repl


def test_a_board_of_kernels_names_itself_and_has_nothing_of_the_agent(microbit):
    firmware, _, repl = microbit
    assert repl.exec("print(t.BOARD, t.CORE, t.VERSION)").split() == ["qemu_microbit", "Cortex-M0", firmware.version]
    for code in ("t.sign", "import agent", "import drivers"):
        with pytest.raises(EmulatorError, match="AttributeError|ImportError"):
            repl.exec(code)


def test_16_kib_of_ram_run_the_encoder_from_flash_and_allocate_nothing(microbit):
    repl = microbit[2]
    assert int(repl.exec("gc.collect()\nprint(gc.mem_free())")) > 7 * 1024
    assert repl.exec(RUN.format(count=WINDOWS)).split() == expected()
    assert repl.exec(LOCKED) == "ran\n"


def test_instructions_of_a_cortex_m0_are_counted(microbit):
    _, emulator, repl = microbit
    counter = emulator.board.emulator["counter"]
    setup = "window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)"
    calls = "model.run(window, out)", "[model.run(window, out) for _ in range(3)]"
    once, thrice = (repl.count(counter["address"], call, setup, counter["capture"]) for call in calls)
    assert 0 < 2 * once < thrice < 4 * once


def test_a_signature_takes_at_most_720_000_instructions_on_a_cortex_m3(tmp_path):
    board = load_board("qemu_mps2_an385")
    with Emulator(board, build(board, lambda *_: None).elf, tmp_path, icount=True) as emulator:
        setup = "from _tinyren import sign\nkey, digest = b'1' * 32, bytes(32)\nsign(key, digest)"
        assert emulator.count_instructions("sign(key, digest)", setup) <= 720_000
