"""Boards on serial ports, which are ptys here: joined to the broker, unplugged in mid-frame, held by others, noisy."""

import contextlib
import os
import pty
import select
import socket
import threading
import time
import tty

import pytest
import serial

from device.agent import packets, wire
from gateway.broker import serial_bridge
from gateway.broker.broker import Broker
from gateway.broker.serial_bridge import AUTO, BAUD, SerialBridge, split_port
from gateway.configuration import settings
from tests.broker_clients import Ear

WAIT_S = 20
CONNACK = b"\x20\x02\x00\x00"
HELLO = packets.connect("ab" * 20, 15, "tinyren/" + "ab" * 20 + "/gone")
GONE = "tinyren/" + "ab" * 20 + "/gone"


def wait_until(is_so):
    """Look often, until it is so."""
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s, is_so
        select.select([], [], [], 0.01)


def wait_open(bridge, count=1):
    """Wait until so many ports were opened: what a board says before is lost, as on any UART."""
    said = []
    wait_until(lambda: said.extend(bridge.notices()) or sum(": open;" in text for text in said) >= count)
    return bridge


class Port:
    """A serial port that can be plugged in and out: a link in a folder to a pty, whose other end is the board's."""

    def __init__(self, path):
        self.path, self.board = path, -1
        self.plug()

    def plug(self):
        self.board, slave = pty.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        os.symlink(self.device, self.path)
        self._slave = slave

    def unplug(self):
        os.unlink(self.path)
        os.close(self._slave)
        os.close(self.board)
        self.board = -1

    def say(self, data):
        os.write(self.board, data)

    def hear(self, data):
        """Wait until the board has got these bytes; what came before them is passed over."""
        heard = b""
        end_s = time.monotonic() + WAIT_S
        while data not in heard:
            assert time.monotonic() < end_s, heard
            if select.select([self.board], [], [], 0.1)[0]:
                heard += os.read(self.board, 4096)
        return heard


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path / "broker", ())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def bridging(broker, monkeypatch):
    """Starts bridges to the broker, and ends them."""
    monkeypatch.setattr(serial_bridge, "LOOK_S", 0.05)
    monkeypatch.setattr(serial_bridge, "REJOIN_S", 0.1)
    started = []

    def start(*ports, **options):
        bridge = SerialBridge([str(port) for port in ports], lambda: ("127.0.0.1", broker.port), **options)
        thread = threading.Thread(target=bridge.run)
        thread.start()
        started.append((bridge, thread))
        return bridge

    yield start
    for bridge, thread in started:
        bridge.stop()
        thread.join(WAIT_S)
        assert not thread.is_alive() and bridge.failure is None


@pytest.fixture
def port(tmp_path):
    made = Port(tmp_path / "board")
    yield made
    if made.board >= 0:
        made.unplug()


def test_what_a_board_says_reaches_the_broker_and_the_answers_it(port, broker, bridging):
    ear, bridge = Ear(broker), wait_open(bridging(port.path))
    port.say(HELLO)
    port.hear(CONNACK)
    assert bridge.joined() == 1
    frame = os.urandom(600)  # every byte, as no terminal would pass it
    port.say(packets.publish("tinyren/" + "ab" * 20 + "/journal", frame, 1))
    assert ear.wait_for("tinyren/" + "ab" * 20 + "/journal", frame)
    port.say(packets.subscribe(2, ["tinyren/beacon"]))
    port.hear(b"\x90\x03\x00\x02\x01")
    ear.bus.publish("tinyren/beacon", frame, qos=1)
    port.hear(frame)
    ear.bus.stop()


def test_a_board_that_is_unplugged_in_mid_frame_is_gone_at_once_and_comes_back_when_it_is_plugged_in(
    port, broker, bridging
):
    ear, bridge = Ear(broker), wait_open(bridging(port.path))
    port.say(HELLO)
    port.hear(CONNACK)
    whole = packets.publish("tinyren/" + "ab" * 20 + "/heartbeat", bytes(180), 1)
    port.say(whole[:90])
    port.unplug()
    assert ear.wait_for(GONE, b"")
    wait_until(lambda: bridge.joined() == 0 and any("not plugged in" in said for said in bridge.notices()))
    port.plug()
    wait_open(bridge)
    port.say(HELLO)
    port.hear(CONNACK)
    assert not any(topic.endswith("/heartbeat") for topic, _ in ear.heard)
    ear.bus.stop()


@pytest.mark.parametrize("noise", [b"ets Jul 29 2019 12:21:46\r\nrst:0x1\r\n", bytes(range(256)) * 8, b"\xff" * 20_000])
def test_a_board_that_prints_before_it_connects_is_joined_all_the_same(port, broker, bridging, noise):
    wait_open(bridging(port.path))
    threading.Thread(target=lambda: contextlib.suppress(OSError) or port.say(noise), daemon=True).start()
    end_s, heard = time.monotonic() + WAIT_S, b""
    while CONNACK not in heard:
        assert time.monotonic() < end_s
        port.say(HELLO)  # as its agent does again and again
        if select.select([port.board], [], [], 0.3)[0]:
            heard = os.read(port.board, 4096)


def test_two_boards_are_two_and_one_that_fails_does_not_disturb_the_other(port, tmp_path, broker, bridging):
    other, ear = Port(tmp_path / "other"), Ear(broker)
    bridge = wait_open(bridging(port.path, other.path), 2)
    port.say(HELLO)
    port.hear(CONNACK)
    other.say(HELLO.replace(b"ab" * 20, b"cd" * 20))
    other.hear(CONNACK)
    assert bridge.joined() == 2
    other.unplug()
    assert ear.wait_for(GONE.replace("ab", "cd"), b"")
    port.say(packets.publish("tinyren/" + "ab" * 20 + "/journal", b"still here", 1))
    assert ear.wait_for("tinyren/" + "ab" * 20 + "/journal", b"still here")
    assert (GONE, b"") not in ear.heard
    ear.bus.stop()


def test_a_port_that_another_program_holds_is_taken_once_that_lets_go(port, broker, bridging):
    with serial.Serial(port.device, exclusive=True):
        bridge, said = bridging(port.path), []
        wait_until(lambda: said.extend(bridge.notices()) or said)
        assert ": open;" not in said[0] and str(port.path) in said[0]
    wait_open(bridge)
    port.say(HELLO)
    port.hear(CONNACK)


def test_nobody_else_gets_a_port_that_is_joined(port, broker, bridging):
    wait_open(bridging(port.path))
    with pytest.raises(serial.SerialException):
        serial.Serial(port.device, exclusive=True)


def test_a_broker_that_is_away_is_tried_again_by_the_board_itself(port, broker, bridging):
    bridge = wait_open(bridging(port.path))
    port.say(HELLO)
    port.hear(CONNACK)
    broker.stop()
    wait_until(lambda: bridge.joined() == 0)
    port.say(HELLO)
    broker.start()
    end_s, heard = time.monotonic() + WAIT_S, b""
    while CONNACK not in heard:
        assert time.monotonic() < end_s
        port.say(HELLO)
        if select.select([port.board], [], [], 0.3)[0]:
            heard = os.read(port.board, 4096)


def test_auto_takes_what_is_plugged_in_and_a_port_that_is_named_too_is_one(tmp_path, broker, bridging):
    (tmp_path / "by-id").mkdir()
    bridge = bridging(AUTO, f"{tmp_path}/named@9600", find=lambda: list(map(str, (tmp_path / "by-id").glob("*"))))
    port = Port(tmp_path / "by-id" / "usb-board")
    os.symlink(port.device, tmp_path / "named")
    wait_open(bridge)
    port.say(HELLO)
    port.hear(CONNACK)
    assert bridge.joined() == 1
    port.unplug()


@pytest.mark.parametrize("name, words", [("missing", "not plugged in"), ("file", "file")])
def test_a_port_that_cannot_be_opened_is_told_once_with_what_to_do(tmp_path, broker, bridging, name, words):
    (tmp_path / "file").write_text("no port")
    bridge, said = bridging(tmp_path / name), []
    wait_until(lambda: said.extend(bridge.notices()) or said)
    assert words in said[0] and ";" in said[0]
    select.select([], [], [], 0.3)
    assert bridge.notices() == []


def test_a_port_may_name_its_speed():
    assert split_port("/dev/ttyUSB0") == ("/dev/ttyUSB0", BAUD)
    assert split_port("/dev/ttyUSB0@921600") == ("/dev/ttyUSB0", 921_600)


@pytest.mark.parametrize("text", ["/dev/x@fast", "@9600", "/dev/x@0", "ttyUSB0", "/dev/x@99999999", "/dev/x,auto,"])
def test_what_is_no_port_is_refused_before_anything_runs(text):
    with pytest.raises(settings.Misfit, match="serial.ports: got .* wanted a list of PATH, PATH@BAUD or auto"):
        settings.parse(settings.BY_NAME["serial.ports"], text)
    assert settings.parse(settings.BY_NAME["serial.ports"], "/dev/x@9600, auto") == ["/dev/x@9600", "auto"]


def test_a_real_emulated_board_speaks_through_a_serial_port(tmp_path, broker, bridging):
    from boards.board import load_board
    from boards.build import build
    from boards.emulator import Emulator

    port, ear = Port(tmp_path / "board"), Ear(broker)
    with socket.create_server(("127.0.0.1", 0)) as uart:  # QEMU's end of the UART, whose other end is the pty
        bridging(port.path)
        board = load_board("qemu_virt_rv32")
        firmware = build(board, lambda *_: None)
        with Emulator(board, firmware.elf, tmp_path / "emulator", ("127.0.0.1", uart.getsockname()[1]), repl="null"):
            link, _ = uart.accept()
            pump = threading.Thread(target=_pump, args=(link, port.board), daemon=True)
            pump.start()
            assert ear.wait_until(lambda: any(topic.endswith("/announce") for topic, _ in ear.heard))
            ear.bus.publish("tinyren/beacon", wire.encode_beacon(wire.make_beacon(1, 0, bytes(32)), 60_000), qos=1)
            assert ear.wait_until(lambda: any(topic.endswith("/heartbeat") for topic, _ in ear.heard))
        pump.join(WAIT_S)
    ear.bus.stop()
    port.unplug()


def _pump(link, board):
    """Bytes between a socket and a pty, until the socket ends."""
    with contextlib.suppress(OSError), link:
        while True:
            for ready in select.select([link, board], [], [])[0]:
                if ready is board:
                    link.sendall(os.read(board, 4096))
                elif not (data := link.recv(4096)):
                    return
                else:
                    os.write(board, data)
