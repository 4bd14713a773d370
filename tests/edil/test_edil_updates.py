"""What a device sends in a round: what it holds, once, in parts that give way; on a virtual clock."""

import numpy as np
import pytest

from device.agent import rounds
from device.agent.sampling import SAMPLE_MS
from tests.agent.test_store import Memory, PowerCut
from tests.agent_bench import WRAP, Bench, bind_request
from tests.edil_bench import OWNER, enrolled, enrolment, gather, manifest, open_update, statuses

WINDOW_MS = SAMPLE_MS * 32
SEND_MS = 10 * SAMPLE_MS  # a part each time that the bench acknowledges


def digest_of(frame):
    return rounds.open_manifest(frame)[0].digest


def listen(bench):
    """[(window, embedding)] as int64, of each inference from now on, beside what EDIL does with it."""
    seen, edil = [], bench.agent._sampler.listeners[0]

    def note(window, output):
        seen.append([np.frombuffer(bytes(part), np.int8).astype(np.int64) for part in (window, output)])
        edil(window, output)

    bench.agent._sampler.listeners[0] = note
    return seen


def expected(frame, seen, labels=None):
    """The values of EDIL.md, section 4, over pooled plaintext."""
    asked = rounds.open_manifest(frame)[0]
    x, z = (np.clip(np.array([pair[part] for pair in seen]), -asked.clip, asked.clip) for part in (0, 1))
    if asked.kind == rounds.INFERENCE:
        return z[0].tolist()
    products, upper = z.T @ z, np.triu_indices(asked.width)
    values = [*z.sum(axis=0), *products[upper]]
    if asked.kind == rounds.CLASSES:
        of = np.array(labels)
        values += [(of == label).sum() for label in range(asked.classes)]
        values += [value for label in range(asked.classes) for value in z[of == label].sum(axis=0)]
    if asked.kind == rounds.DECODER:
        rows = x[:, asked.first_row : asked.first_row + asked.rows]
        values += [*rows.sum(axis=0), *(rows.T @ z).reshape(-1)]
    return [int(value) for value in values]


def taken(frame, index=0, status="stored"):
    return rounds.encode_taken(digest_of(frame), index, status)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"windows": 5, "clip": 20, "digits": 2},
        {"kind": rounds.DECODER, "rows": 7, "first_row": 121},
        {"ring": 2048, "kind": rounds.DECODER, "rows": 24, "clip": 90},
        {"ring": 4096, "digits": 4},
    ],
    ids=["moments", "clipped moments", "the last rows", "ring 2048", "ring 4096"],
)
def test_the_holders_together_read_the_sums_of_the_windows(fields):
    frame = manifest(**fields)
    windows = rounds.open_manifest(frame)[0].windows
    bench = enrolled()
    bench.pass_ms(WINDOW_MS)
    seen = listen(bench)

    bench.receive("round", frame)
    bench.pass_ms((windows + 1) * WINDOW_MS)

    ((update, ciphertext),) = gather(bench.sent)
    assert update[:4] == (digest_of(frame), enrolment()[1], 0, windows)
    values, count, devices = open_update(frame, enrolment()[1], bench.agent.identity, update, ciphertext)
    assert values == expected(frame, seen[:windows]) and (count, devices) == (windows, 1)
    assert max(map(abs, values)) > 1000 and bench.agent.edil.counts["left_out"] == len(seen) - windows


def test_a_round_goes_on_while_the_clock_wraps():
    for before_ms in (1000, 5000, 8000):
        bench = enrolled(now_ms=WRAP - before_ms)
        bench.receive("round", manifest(windows=50, digits=4, duration_ms=4000))
        bench.pass_ms(12_000)

        updates = gather(bench.sent)
        assert [update[3] for update, _ in updates] == [2, 2] and updates[0] == updates[1]


def test_windows_of_a_class_are_added_to_it_and_those_without_or_between_to_none():
    frame = manifest(kind=rounds.CLASSES, classes=3, windows=6)
    bench = enrolled()
    while bench.agent._sampler.is_mid_window:
        bench.pass_ms(SAMPLE_MS)
    seen, labels = listen(bench), []
    bench.receive("round", frame)

    for label, is_mid, given in ((None, 0, [None]), (2, 0, [2, 2]), (0, 1, [None, 0]), (3, 0, [None]), (2, 0, [2] * 3)):
        bench.pass_ms(is_mid * SAMPLE_MS)
        bench.receive("label", rounds.encode_label(label))
        bench.pass_ms(len(given) * WINDOW_MS - is_mid * SAMPLE_MS)
        labels += given
    bench.pass_ms(SEND_MS)

    kept = [pair for pair, label in zip(seen, labels, strict=True) if label is not None]
    ((update, ciphertext),) = gather(bench.sent)
    values, count, _ = open_update(frame, enrolment()[1], bench.agent.identity, update, ciphertext)
    assert values == expected(frame, kept, [label for label in labels if label is not None]) and count == 6
    assert bench.agent.edil.counts["unlabelled"] == 3


def test_a_source_that_knows_its_labels_says_them():
    bench = enrolled()
    bench.source.label = 1
    bench.receive("label", rounds.encode_label(0))
    frame = manifest(kind=rounds.CLASSES, classes=2, windows=1)

    bench.receive("round", frame)
    bench.pass_ms(WINDOW_MS + SEND_MS)

    ((update, ciphertext),) = gather(bench.sent)
    values = open_update(frame, enrolment()[1], bench.agent.identity, update, ciphertext)[0]
    assert values[-34:-32] == [0, 1]


def test_when_the_time_is_over_it_sends_what_it_has_but_never_nothing():
    for duration_ms, windows, after_ms in ((2 * WINDOW_MS + 100, 2, 2 * WINDOW_MS + 200), (100, 1, WINDOW_MS)):
        bench = enrolled()
        bench.receive("round", manifest(windows=50, digits=4, duration_ms=duration_ms))
        bench.pass_ms(after_ms - 2 * SAMPLE_MS)
        assert not gather(bench.sent)

        bench.pass_ms(20 * SAMPLE_MS)

        ((update, _),) = gather(bench.sent)
        assert update[3] == windows


def test_windows_beyond_those_that_were_asked_for_or_after_the_time_enter_no_ciphertext():
    for fields, before, wanted in (({"windows": 2}, 3, 2), ({"windows": 9, "digits": 4, "duration_ms": 1}, 1, 1)):
        bench = enrolled()
        bench.receive("round", manifest(**fields))
        bench.port.now_ms += 10
        bench.agent.edil.tick(bench.port.now_ms)
        for _ in range(before):
            bench.agent.edil._add(bytes(128), b"\x03" * 16)
        bench.agent.edil.tick(bench.port.now_ms)
        bench.agent.edil._add(bytes(128), b"\x05" * 16)
        bench.pass_ms(SEND_MS)

        ((update, ciphertext),) = gather(bench.sent)
        frame = manifest(**fields)
        values, count, _ = open_update(frame, enrolment()[1], bench.agent.identity, update, ciphertext)
        assert (count, values[0]) == (wanted, 3 * wanted) and bench.agent.edil.counts["left_out"] == before + 1 - wanted


def test_a_duration_longer_than_the_clock_goes_is_kept():
    bench = enrolled()
    bench.receive("round", manifest(windows=255, digits=4, duration_ms=2**32 - 1))
    bench.pass_ms(WINDOW_MS)
    update = bench.agent.edil._update

    for _ in range(8):
        bench.port.now_ms = (bench.port.now_ms + 2**28) % 2**30
        bench.agent.edil.tick(bench.port.now_ms)

    assert update.upload is None and 0 < update._left_ms < 2**31


# Inference


def test_each_embedding_is_encrypted_for_the_data_owner_alone_and_while_one_is_on_its_way_others_are_left_out():
    frame = manifest(kind=rounds.INFERENCE, windows=3, digits=1, clip=100)
    bench = enrolled()
    seen = listen(bench)
    bench.receive("round", frame)
    opened = []
    for index, waited in ((0, 1), (1, 3), (2, 1)):
        bench.pass_ms(WINDOW_MS)
        number = len(seen) - 1
        bench.pass_ms(SEND_MS if waited == 1 else (waited - 1) * WINDOW_MS)
        update, ciphertext = gather(bench.sent)[-1]
        assert update[2:4] == (index, 1)
        values, count, devices = open_update(frame, enrolment()[1], bench.agent.identity, update, ciphertext)
        assert (count, devices) == (1, 1)
        assert values == expected(frame, [seen[number]])
        opened.append(update[-1])
        bench.receive("taken", taken(frame, index))
    bench.pass_ms(3 * WINDOW_MS)

    assert len(gather(bench.sent)) == 3 and len(set(opened)) == 3 and bench.agent.edil._update is None
    assert bench.agent.edil.counts["left_out"] == 2 and bench.agent._store.round == 1


# Vectors


@pytest.mark.parametrize("digits, bound", [(1, 127), (2, 32639)])
def test_a_linux_device_sends_the_numbers_that_it_was_given_at_once(digits, bound):
    numbers, bench = [5, -7, 0, 70000, -70000, 127], enrolled()
    bench.agent.edil._vector = lambda: numbers
    frame = manifest(kind=rounds.VECTOR, rows=6, windows=1, digits=digits)

    bench.receive("round", manifest(kind=rounds.VECTOR, rows=5, windows=1))
    assert statuses(bench.published())[-1][1] == "bounds"
    bench.receive("round", frame)
    bench.pass_ms(SEND_MS)

    ((update, ciphertext),) = gather(bench.sent)
    opened = open_update(frame, enrolment()[1], bench.agent.identity, update, ciphertext)
    assert opened == ([5, -7, 0, bound, -bound, 127], 1, 1) and update[3] == 1


# Once, and never again


class Lives:
    """A device through power cuts: notes which rounds it made a ciphertext of, and asserts that none comes twice."""

    def __init__(self, erase_bytes):
        self.memory = Memory(erase_bytes)
        self.made = []

    def live(self, numbers):
        bench = Bench(memory=self.memory).connect()
        bench.published()
        bench.receive("bind", bind_request(owner=OWNER.address))
        bench.receive("enrol", enrolment()[0])
        for number in numbers:
            bench.receive("round", manifest(round=number, windows=1))
            bench.agent.edil._add(bytes(128), bytes(16))
            bench.agent.edil.tick(bench.port.now_ms)
            update = bench.agent.edil._update
            if update and update.upload:
                assert number not in self.made
                self.made.append(number)


@pytest.mark.parametrize("erase_bytes", [0, 512], ids=["EEPROM", "flash"])
def test_a_power_cut_at_any_byte_leads_to_no_second_ciphertext_of_a_round(erase_bytes):
    whole = Lives(erase_bytes)
    whole.live((1, 2, 3))
    assert whole.made == [1, 2, 3]

    for budget in range(0, whole.memory.spent, 7):
        device = Lives(erase_bytes)
        device.memory.budget = budget
        try:
            device.live((1, 2, 3))
        except PowerCut:
            device.memory.budget = None
        device.live((1, 2, 3, 4))
        assert device.made[-1] == 4


@pytest.mark.parametrize("fault", [True, OSError("no answer")])
def test_a_round_that_cannot_be_stored_is_not_encrypted(fault):
    bench = enrolled()
    bench.receive("round", manifest())
    bench.memory.fails = fault
    bench.pass_ms(3 * WINDOW_MS)

    assert statuses(bench.sent)[-1] == (digest_of(manifest()), "store") and not gather(bench.sent)
    bench.memory.fails = False
    bench.receive("round", manifest())
    bench.pass_ms(3 * WINDOW_MS)
    assert len(gather(bench.sent)) == 1
