"""Improv: the published frames, what a board answers to each command, and that no octets make it do anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from device.agent import improv
from device.agent.improv import (
    ASK_INFO,
    ASK_STATE,
    BUSY,
    COMMAND,
    ERROR,
    FRAME_MS,
    INVALID,
    JOINED,
    JOINING,
    NONE,
    NOT_JOINED,
    READY,
    RESULT,
    SCAN,
    STATE,
    UNKNOWN,
    WIFI,
    Frames,
    Improv,
    encode,
    encode_command,
    split_texts,
)

ABOUT = ("tinyren", "0.1.0", "ESP32-C3", "pump hall")
NETWORK = ("MyWirelessAP", "mysecurepassword")
JOIN = encode_command(WIFI, NETWORK)
EXAMPLE = bytes.fromhex("494d50524f5601 03 20 01 1e 0c") + b"MyWirelessAP\x10mysecurepassword"
PUBLISHED = [
    (JOIN, EXAMPLE + b"\xc1\n"),
    (encode_command(ASK_STATE), bytes.fromhex("494d50524f5601 03 02 02 00 e5 0a")),
    (encode(STATE, b"\x02"), bytes.fromhex("494d50524f5601 01 01 02 e2 0a")),
]


def board():
    return Improv(*ABOUT)


def frames(octets):
    """Each frame among octets, its texts instead of the data where it is a result."""
    reader = Frames()
    found = [reader.take(octet, 0) for octet in octets]
    return [(kind, (data[0], *split_texts(data)) if kind == RESULT else data[0]) for kind, data in filter(None, found)]


@pytest.mark.parametrize(("made", "published"), PUBLISHED)
def test_frames_are_those_of_the_specification(made, published):
    assert made == published
    assert len(frames(published)) == 1


def test_a_board_says_its_state_what_it_is_and_what_it_does_not_know():
    made = board()
    answers = [
        (encode_command(ASK_STATE), [(ERROR, NONE), (STATE, READY)]),
        (encode_command(ASK_INFO), [(ERROR, NONE), (RESULT, (ASK_INFO, *ABOUT))]),
        (encode_command(9), [(ERROR, UNKNOWN)]),
        (encode(STATE, b"\x02"), []),
    ]
    for asked, answer in answers:
        assert frames(made.receive(asked, 0)) == answer and made.asked is None


def test_wifi_settings_are_asked_for_once_and_answered_when_the_network_is_joined():
    made = board()
    assert frames(made.receive(JOIN, 0)) == [(ERROR, NONE), (STATE, JOINING)]
    assert made.asked == (WIFI, *NETWORK)
    assert frames(made.receive(JOIN, 0)) == [(ERROR, BUSY)] and made.asked == (WIFI, *NETWORK)
    assert made.scanned([]) == b""  # nobody asked for that
    assert frames(made.joined("http://gw/")) == [(STATE, JOINED), (RESULT, (WIFI, "http://gw/"))]
    assert made.asked is None and made.joined("http://gw/") == b""
    told = [(ERROR, NONE), (STATE, JOINED), (RESULT, (ASK_STATE, "http://gw/"))]
    assert frames(made.receive(encode_command(ASK_STATE), 0)) == told


@pytest.mark.parametrize("was", [READY, JOINED])
def test_a_network_that_cannot_be_joined_leaves_the_board_where_it_was(was):
    made = board()
    if was == JOINED:
        made.joined()
    made.receive(JOIN, 0)
    assert frames(made.not_joined()) == [(ERROR, NOT_JOINED), (STATE, was)] and made.asked is None
    assert frames(made.receive(JOIN, 0)) == [(ERROR, NONE), (STATE, JOINING)]  # and it may be tried again


def test_networks_that_were_found_come_one_by_one_and_then_an_empty_answer():
    made = board()
    assert made.receive(encode_command(SCAN), 0) == b"" and made.asked == (SCAN,)
    told = made.scanned([("Würzburg", -60, True), ("open", -71, False)])
    rows = [("Würzburg", "-60", "YES"), ("open", "-71", "NO"), ()]
    assert frames(told) == [(RESULT, (SCAN, *row)) for row in rows] and made.asked is None


@pytest.mark.parametrize(
    "texts",
    [
        (),
        ("name",),
        ("", "long enough"),
        ("x" * 33, ""),
        ("ä" * 17, ""),
        ("name", "seven77"),
        ("name", "x" * 64),
        ("name", "pässword"),
        ("na\nme", ""),
        ("name", "pass\x7fword"),
        ("name", "password", "more"),
    ],
)
def test_what_no_network_can_have_is_refused_and_nothing_is_asked(texts):
    made = board()
    assert frames(made.receive(encode_command(WIFI, texts), 0)) == [(ERROR, INVALID)] and made.asked is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", b"\x01\x01", b"\x01\x02\x02a", b"\x01\x00\x00", b"\x02\x01", b"\x01\x03\x02\xff\xff"],
)
def test_a_command_that_is_not_whole_is_refused(data):
    made = board()
    assert frames(made.receive(encode(COMMAND, data), 0)) == [(ERROR, INVALID)] and made.asked is None


def test_a_wrong_checksum_is_told_and_the_next_frame_counts():
    made = board()
    for at in range(9, len(JOIN) - 1):
        damaged = JOIN[:at] + bytes([JOIN[at] ^ 0x40]) + JOIN[at + 1 :]
        assert frames(made.receive(damaged, 0)) == [(ERROR, INVALID)] and made.asked is None
    made.receive(JOIN, 0)
    assert made.asked == (WIFI, *NETWORK)


def test_ctrl_c_between_frames_ends_the_program_and_within_one_does_not():
    for octets in (b"\x03", b"\r\x03\x03", b"IMPRO\x03", JOIN + b"\x03", b"IMPROV\x03"):
        with pytest.raises(KeyboardInterrupt):
            board().receive(octets, 0)
    made = board()
    made.receive(JOIN[:-1], 0)  # its type is 0x03
    assert made.asked == (WIFI, *NETWORK)


def test_half_a_frame_is_forgotten_so_that_ctrl_c_comes_through():
    made = board()
    made.receive(JOIN[:20], 0)
    assert made.receive(b"\x03", FRAME_MS) == b""  # a part of the frame
    with pytest.raises(KeyboardInterrupt):
        made.receive(b"\x03", 2 * FRAME_MS + 1)
    made.receive(JOIN, (1 << 30) - 1)
    made.joined()
    made.receive(JOIN[:20], (1 << 30) - 1)
    made.receive(JOIN[20:], 5)  # the clock wrapped in between
    assert made.asked == (WIFI, *NETWORK)


def test_every_answer_stands_on_a_line_of_its_own():
    made = board()
    out = made.receive(encode_command(ASK_INFO) + JOIN, 0) + made.joined("x" * 999)
    assert all(b"\n" + part == out[at - 1 : at - 1 + len(part) + 1] for at, part in places(out))
    assert frames(out)[-1] == (RESULT, (WIFI, ""))  # an address too long for a frame is left out


def places(out):
    """(place, header) of each frame."""
    at = out.find(improv.HEADER)
    while at >= 0:
        yield at, improv.HEADER
        at = out.find(improv.HEADER, at + 1)


def test_texts_that_fit_no_frame_are_not_encoded():
    with pytest.raises(ValueError, match="got 254 bytes with their lengths, wanted 253 at most"):
        encode_command(WIFI, ("x" * 253,))


OCTETS = some.one_of(
    some.binary(max_size=60),
    some.just(JOIN),
    some.builds(encode, some.integers(0, 6), some.binary(max_size=40)),
    some.builds(lambda frame, at, octet: frame[:at] + bytes([octet]) + frame[at:], some.just(JOIN),
                some.integers(0, len(JOIN)), some.integers(0, 255)),
)  # fmt: skip


@settings(max_examples=150, derandomize=True)
@given(parts=some.lists(OCTETS, max_size=5))
def test_any_octets_are_answered_by_whole_frames_or_are_ctrl_c_however_they_are_cut(parts):
    whole, one_by_one = board(), board()
    try:
        out = whole.receive(b"".join(parts), 0)
    except KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            for octet in b"".join(parts):
                one_by_one.receive(bytes([octet]), 0)
    else:
        assert b"".join(one_by_one.receive(bytes([octet]), 0) for octet in b"".join(parts)) == out
        assert sum(1 for _ in places(out)) == len(frames(out))
    assert whole.asked == one_by_one.asked
    assert whole.asked is None or whole.asked[0] == SCAN or improv.is_network(*whole.asked[1:])
