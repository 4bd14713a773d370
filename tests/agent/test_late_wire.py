"""The messages late and journal: vectors, and foreign bytes."""

import json
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import reports, wire
from device.agent.errors import LocalError
from tests.frames import changed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "late.json").read_text())
DEVICE_ID = bytes.fromhex(VECTORS["device"]["id"])
LIMITS = {"late": reports.LATE_MAX_BYTES, "journal": reports.JOURNAL_MAX_BYTES}
FUZZ = settings(derandomize=True, max_examples=300, deadline=None)


def named(vectors):
    return pytest.mark.parametrize("vector", vectors, ids=[f"{v['message']} {v['name']}" for v in vectors])


def decode(message, frame):
    return getattr(reports, f"decode_{message}")(wire.open_sign1(frame, LIMITS[message])[1])


def encoded(message, fields):
    """What the encoder makes of decoded fields."""
    if message == "late":
        *head, records = fields
        fields = (*head, b"".join(reports.pack_record(*record) for record in records))
    return getattr(reports, f"encode_{message}")(*fields)


@named(VECTORS["valid"])
def test_a_vector_decodes_to_its_fields_and_encodes_to_its_bytes(vector):
    frame = bytes.fromhex(vector["frame"])
    fields = decode(vector["message"], frame)
    *head, last = vector["fields"].values()

    shown = [field.hex() if type(field) is bytes else field for field in fields[:-1]]
    if vector["message"] == "late":
        last = [bytes.fromhex(last[at : at + 56]) for at in range(0, len(last), 56)]
        assert [reports.pack_record(*record) for record in fields[-1]] == last
    else:
        assert fields[-1] == last
    assert shown == head
    assert encoded(vector["message"], fields).hex() == vector["payload"]
    assert wire.open_sign1(frame, LIMITS[vector["message"]])[3].hex() == vector["digest"]


@named(VECTORS["invalid"])
def test_a_vector_with_one_fault_is_refused_for_it(vector):
    with pytest.raises(wire.WireError) as refused:
        decode(vector["message"], bytes.fromhex(vector["frame"]))

    assert refused.value.reason == vector["reason"]


def test_cbor2_reads_a_batch_as_the_specification_says():
    vector = VECTORS["valid"][1]
    payload = cbor2.loads(cbor2.loads(bytes.fromhex(vector["frame"])).value[2])

    boot, beacon, dropped, records = payload[-65548]
    assert (boot, dropped, beacon.hex()) == (3, 7, vector["fields"]["beacon"])
    assert [int.from_bytes(records[at : at + 4], "big") for at in range(0, len(records), 28)] == [41, 42]


@pytest.mark.parametrize(
    "call",
    [
        lambda: reports.encode_late(0, bytes(14), 0, reports.pack_record(1, 0, 0, bytes(16))),
        lambda: reports.encode_late(1, bytes(14), 0, b""),
        lambda: reports.encode_late(1, bytes(14), 0, reports.pack_record(1, 0, 0, bytes(16)) * 2),
        lambda: reports.encode_journal(1, "", []),
        lambda: reports.encode_journal(1, "power", ["x"] * 17),
    ],
)
def test_what_no_receiver_accepts_cannot_be_encoded(call):
    with pytest.raises(LocalError):
        call()


@FUZZ
@given(st.sampled_from(VECTORS["valid"]), st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_changed_frame_is_refused_by_reason_or_is_another_message_in_one_encoding(vector, at, byte, cut):
    _, frame = changed(vector, at, byte, cut)

    try:
        fields = decode(vector["message"], frame)
    except wire.WireError as error:
        assert error.reason in wire.REASONS
        return
    assert encoded(vector["message"], fields) == wire.open_sign1(frame, LIMITS[vector["message"]])[1]


@FUZZ
@given(st.sampled_from(sorted(LIMITS)), st.binary(max_size=120))
def test_foreign_bytes_as_a_payload_are_refused_by_reason(message, payload):
    with pytest.raises(wire.WireError) as refused:
        getattr(reports, f"decode_{message}")(payload)

    assert refused.value.reason in wire.REASONS
