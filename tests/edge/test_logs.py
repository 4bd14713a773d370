"""Lines of a command: for a person, and as JSON for a program; what a whole site says holds no secret."""

import io
import json
import re
import threading
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.monitoring import logs
from gateway.progress import Progress
from tests.up_site import SHORT, Up

OWN = set(logs.OWN)


def progress(style, is_terminal=False):
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    made = Progress(stream)
    made.style = style
    return made, stream


def test_an_event_is_one_object_a_line_with_time_level_event_text_and_its_fields():
    made, stream = progress(logs.JSON)
    made.say("epoch 3 is settled", event="epoch_settled", epoch=3)
    made.say("no\nnews", "warning")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert list(first) == ["time", "level", "event", "text", "epoch"]
    assert (first["level"], first["event"], first["text"], first["epoch"]) == (
        "info",
        "epoch_settled",
        "epoch 3 is settled",
        3,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert abs(datetime.fromisoformat(first["time"]).timestamp() - datetime.now().timestamp()) < 60
    assert (second["level"], second["event"], second["text"]) == ("warning", "said", "no\nnews")


def test_a_person_reads_seconds_and_a_sentence_and_no_fields():
    made, stream = progress(logs.TEXT)
    made.say("epoch 3 is settled", event="epoch_settled", epoch=3)
    assert re.fullmatch(r" +\d+\.\d s  epoch 3 is settled\n", stream.getvalue())


@pytest.mark.parametrize("style", logs.FORMATS)
def test_a_password_in_an_address_is_never_written(style):
    made, stream = progress(style)
    made.say("the broker on mqtts://me:hunter2@host:8883 is away", url="http://:hunter2@x/", mail="a@b.c")
    assert "hunter2" not in stream.getvalue() and "mqtts://***@host:8883" in stream.getvalue()


def test_what_a_terminal_would_obey_is_shown_as_text():
    made, stream = progress(logs.TEXT)
    made.say("the board says \x1b[2J\x9b1m\u202egnp\r, on\tand\non")
    assert stream.getvalue().endswith("s  the board says ?[2J?1m?gnp?, on\tand\non\n")


def test_json_has_no_bar_even_on_a_terminal():
    made, stream = progress(logs.JSON, is_terminal=True)
    for share in (0.05, 0.1, 0.15, 1):
        made.step("building", share)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(row["event"], row["stage"], row["percent"]) for row in rows] == [
        ("progress", "building", 10),
        ("progress", "building", 100),
    ]


def test_lines_of_many_threads_stay_whole():
    made, stream = progress(logs.JSON)
    threads = [threading.Thread(target=lambda: [made.say("x" * 300) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [json.loads(line)["text"] for line in stream.getvalue().splitlines()] == ["x" * 300] * 200


@settings(derandomize=True, max_examples=200)
@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3))
def test_whatever_is_said_is_one_line_and_its_own_names_win(text, fields):
    line = logs.json_line(0.0, "info", "said", text, fields)
    assert "\n" not in line and "\r" not in line
    if "@" not in line:
        row = json.loads(line)
        assert row["text"] == text and row["time"] == "1970-01-01T00:00:00.000Z"
        assert {**fields, **{name: row[name] for name in OWN}} == row


def test_a_whole_site_logs_json_alone_and_no_key_or_password_of_it(tmp_path):
    folder = tmp_path / "site"
    site = Up(folder, "--epochs", "1", "--boards", "qemu_virt_rv32", "--log-format", "json", *SHORT)
    code, _ = site.finish()
    assert code == 0
    rows = [json.loads(line) for line in site.lines if line != "(ended)"]
    assert all(OWN <= set(row) for row in rows)
    assert {"said", "epoch_settled", "claim_paid"} <= {row["event"] for row in rows}
    whole = "\n".join(site.lines).lower()
    secrets = [
        path for pattern in ("keys/*", "broker/*.password", "broker/devices.json") for path in folder.glob(pattern)
    ]
    assert len(secrets) > 8
    for path in secrets:
        for word in re.findall(r"[\w+/=-]{24,}", path.read_text()):
            if not re.fullmatch("[0-9a-f]{40}", word):  # a device's id is none
                assert word.lower() not in whole, path
