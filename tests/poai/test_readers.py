"""What a gateway does for readers when many ask at once."""

import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.errors import Exit
from gateway.oracle.epoch import SignerKeys
from gateway.poai import readers
from tests.agent.test_private import KEY
from tests.poai.test_sealed import SealedSite, opening

WAIT_S = 1


@pytest.fixture
def lying(tmp_path):
    return SealedSite(tmp_path, is_liar=True).play(4)


def test_two_openings_of_one_answer_that_come_at_once_are_stored_once(lying):
    (found, *_), before, keep, second = lying.audited(), lying.items(), lying.readers._keep, threading.Event()
    calls = []

    def slowly(frame):
        calls.append(frame)
        if len(calls) == 1:
            second.wait(WAIT_S)  # so long another one could come in between
        second.set()
        return keep(frame)

    lying.readers._keep = slowly
    threads = [threading.Thread(target=lying.readers.take, args=(opening(found.sealed),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lying.items()) == len(before) + 1


def test_no_signature_is_checked_of_what_names_another_reader(lying, monkeypatch):
    checked = []
    monkeypatch.setattr(readers, "SignerKeys", lambda: SignerKeysThatCount(checked))
    assert lying.readers.sealed_to(b"\x02" + KEY[1:] if KEY[0] == 3 else b"\x03" + KEY[1:]) == (1, [])
    assert checked == []
    assert lying.readers.sealed_to(KEY)[1] and len(checked) == len(lying.audited())


class SignerKeysThatCount(SignerKeys):
    def __init__(self, checked):
        super().__init__()
        self.checked = checked

    def is_signed(self, heartbeat):
        self.checked.append(heartbeat)
        return super().is_signed(heartbeat)


@settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=30)
    | st.just("[" * 100_000)
    | st.lists(st.text("0123456789abcdef", max_size=8) | st.integers() | st.none(), max_size=4).map(
        lambda frames: json.dumps({"frames": frames})
    )
)
def test_any_file_is_a_proof_or_proves_nothing(tmp_path, capsys, text):
    (tmp_path / "proof").write_text(text)
    assert cli.main(["buyer", "check", str(tmp_path / "proof")]) in (Exit.USAGE, Exit.TRUST)
    assert len(capsys.readouterr().err.splitlines()) == 1
