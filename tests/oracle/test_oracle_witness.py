"""What an oracle saw committed is still known after a restart, and only what a gateway signed for that epoch."""

import json

from coincurve import PrivateKey

from gateway import curve
from gateway.oracle import messages
from gateway.oracle.commitments import Seen
from gateway.oracle.statements import Close, Commitment
from gateway.oracle.witness import MAX_EPOCHS, Witness

KEY, OTHER = (PrivateKey(bytes([number]) * 32) for number in (1, 2))
SITE = messages.Site(1331, b"s" * 20)
GATEWAY = curve.address_of(KEY.secret)
SAID = [messages.seal(Commitment(3, window, 100 * window, 50, b"d" * 32), SITE, KEY.secret) for window in range(3)]


def test_commitments_are_kept_with_the_block_at_which_they_came(tmp_path):
    for block, said in enumerate(SAID, 7):
        Witness(tmp_path / "kept", SITE).note(said, block)
    wanted = [Seen(said.message, block) for block, said in enumerate(SAID, 7)]
    assert Witness(tmp_path / "kept", SITE).seen(GATEWAY, 3) == wanted
    assert Witness(tmp_path / "kept", SITE).seen(GATEWAY, 4) == []
    assert Witness(tmp_path / "kept", SITE).seen(curve.address_of(OTHER.secret), 3) == []
    assert Witness(tmp_path / "nothing", SITE).seen(GATEWAY, 3) == []


def test_lines_that_are_torn_altered_or_anothers_are_passed_over(tmp_path):
    witness = Witness(tmp_path, SITE)
    witness.note(SAID[0], 7)
    (path,) = tmp_path.iterdir()
    line = path.read_text()
    altered = line.replace('heartbeats_bytes\\":0', 'heartbeats_bytes\\":1')
    assert altered != line
    foreign = [
        messages.seal(SAID[0].message, SITE, OTHER.secret),
        messages.seal(Close(3, b"d" * 32, 9), SITE, KEY.secret),
        messages.seal(Commitment(4, 0, 0, 0, b"d" * 32), SITE, KEY.secret),
        messages.seal(SAID[0].message, messages.Site(1, b"s" * 20), KEY.secret),
    ]
    others = [json.dumps({"block": 1, "payload": said.payload.decode()}) for said in foreign]
    torn = ["", "{", "7", "null", '{"block": "x", "payload": ""}', '{"payload": 7}', line[:-9]]
    path.write_text(line + "\n".join([altered.strip(), *others, *torn]) + "\n")
    with path.open("ab") as file:
        file.write(b'\xff\x00 what a power cut left \n{"block": ' + b"[" * 100_000 + b"\n")
    assert witness.seen(GATEWAY, 3) == [Seen(SAID[0].message, 7)]


def test_settled_epochs_are_forgotten_and_later_ones_kept(tmp_path):
    witness = Witness(tmp_path, SITE)
    for epoch in (1, 2, 11):
        witness.note(messages.seal(Commitment(epoch, 0, 0, 0, b"d" * 32), SITE, KEY.secret), 1)
    witness.forget(2)
    assert [witness.seen(GATEWAY, epoch) != [] for epoch in (1, 2, 11)] == [False, False, True]


def test_a_gateway_that_lies_fills_no_disk_and_takes_no_place_of_anothers(tmp_path, monkeypatch):
    witness = Witness(tmp_path, SITE)
    witness.forget(2)

    def note(epoch, key=KEY):
        witness.note(messages.seal(Commitment(epoch, 0, 0, 0, b"d" * 32), SITE, key.secret), 1)

    for epoch in (1, 2, 3 + MAX_EPOCHS, (1 << 32) - 1):
        note(epoch)
    assert list(tmp_path.iterdir()) == []
    note(2 + MAX_EPOCHS)
    (path,) = tmp_path.iterdir()
    monkeypatch.setattr("gateway.oracle.witness.MAX_BYTES", 2 * path.stat().st_size)
    for epoch in range(3, 9):
        note(epoch)
    assert [bool(witness.seen(GATEWAY, epoch)) for epoch in range(3, 9)] == [True] * 2 + [False] * 4
    note(3, OTHER)
    assert witness.seen(curve.address_of(OTHER.secret), 3)


def test_what_is_no_commitment_is_not_noted(tmp_path):
    Witness(tmp_path, SITE).note(messages.seal(Close(3, b"d" * 32, 9), SITE, KEY.secret), 1)
    assert list(tmp_path.iterdir()) == []
