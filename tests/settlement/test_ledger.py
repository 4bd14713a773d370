"""Files of settled epochs: what is written is read again, and what is damaged counts as not there."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.settlement import ledger
from gateway.settlement.ledger import Settled
from gateway.settlement.tree import Leaves

WEI = 10**26
DEVICE = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
SETTLED = Settled(
    epoch=3,
    windows=12,
    availability={DEVICE: 255, bytes(20): 0},
    leaves=Leaves(((1, WEI), (2, 0)), ((bytes(20), 7),), (((bytes(20), 1, 2), 9),)),
    root=bytes(range(32)),
    total=WEI,
    evidence=bytes(32),
    minted=WEI // 3,
    units={DEVICE: 4},
    frauds=(bytes(20),),
    tx="0x" + "ab" * 32,
    signers=("0x" + "01" * 20,),
)


def test_an_epoch_is_read_as_it_was_written(tmp_path):
    ledger.write(tmp_path / "settlement", SETTLED)
    assert ledger.read(tmp_path / "settlement", 3) == SETTLED
    assert [path.name for path in (tmp_path / "settlement").iterdir()] == ["epoch-3.json"]


def test_the_summary_is_json_with_ids_as_eip_55_and_amounts_as_text():
    summary = json.loads(json.dumps(SETTLED.summary()))
    assert summary["availability"]["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"] == 255
    assert (summary["minted_wei"], summary["root"][:6]) == (str(WEI // 3), "0x0001")


def test_writing_again_replaces(tmp_path):
    ledger.write(tmp_path, dataclasses.replace(SETTLED, minted=0))
    ledger.write(tmp_path, SETTLED)
    assert ledger.read(tmp_path, 3) == SETTLED


@pytest.mark.parametrize("field", [field for field in json.loads(json.dumps(SETTLED.summary())) if field != "epoch"])
@pytest.mark.parametrize("value", [None, "x", [[1]]])
def test_a_damaged_field_is_as_no_file(tmp_path, field, value):
    ledger.write(tmp_path, SETTLED)
    path = tmp_path / "epoch-3.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    found = ledger.read(tmp_path, 3)
    assert found is None or field in ("tx", "signers") or found.root != SETTLED.root


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.binary(max_size=40) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_foreign_content_is_as_no_file(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("settlement") / "epoch-1.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert ledger.read(path.parent, 1) is None


def test_an_epoch_that_is_not_there_is_none(tmp_path):
    assert ledger.read(tmp_path, 1) is None
