"""What a device takes part in: enrolments and manifests, whose they must be and in which order; on a virtual clock."""

import functools
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import rounds
from tests.agent_bench import SECRET, Bench, bind_request
from tests.edil_bench import HOLDERS, MODEL, OWNER, Party, enrolled, enrolment, manifest, statuses

STRANGER = Party(666)
OTHERS = [Party(3001), Party(3002)]
NO_POINT = b"\x02" + (5).to_bytes(32, "big")  # x = 5 is on no point of secp256k1


def sha256(frame):
    return hashlib.sha256(frame).digest()


def state(bench):
    """What a refusal must not change."""
    edil = bench.agent._load_edil()
    counts = dict(edil.counts)
    counts.pop("refused")
    return bytes(bench.memory.bytes), edil._enrolment, edil._update, edil.label, counts


def answers(bench, name, frame):
    bench.receive(name, frame)
    return statuses(bench.published())


# Enrolments


def test_an_enrolment_by_the_owner_is_taken_and_its_number_outlives_a_reset():
    bench = Bench().connect()
    bench.receive("bind", bind_request(owner=OWNER.address))
    bench.published()
    frame, digest = enrolment(number=7)

    assert answers(bench, "enrol", frame) == [(digest, "enrolled")]

    again = Bench(memory=bench.memory)
    assert (again.agent._store.number, again.agent._store.round) == (7, 0)


def test_an_enrolment_that_is_sent_again_keeps_round_and_sums():
    bench = enrolled()
    answers(bench, "round", manifest())
    before = state(bench)

    assert answers(bench, "enrol", enrolment()[0]) == [(enrolment()[1], "enrolled")]
    assert state(bench) == before


def test_another_enrolment_of_the_same_or_a_higher_number_ends_the_round():
    for number in (1, 2):
        bench = enrolled()
        answers(bench, "round", manifest())
        frame, digest = enrolment(number, holders=OTHERS)

        assert answers(bench, "enrol", frame) == [(digest, "enrolled")]
        assert bench.agent.edil._update is None and bench.agent._store.number == number
        assert answers(bench, "round", manifest(holders=OTHERS))[0][1] == "joined"


def test_a_higher_number_lets_rounds_begin_again_and_a_lower_one_is_refused():
    bench = enrolled()
    bench.agent._store.take_part(9)
    assert answers(bench, "round", manifest(round=9))[0][1] == "round"

    answers(bench, "enrol", enrolment(2)[0])
    before = state(bench)

    assert answers(bench, "enrol", enrolment(1)[0]) == [(enrolment(1)[1], "number")]
    assert state(bench) == before and bench.agent._store.round == 0
    assert answers(bench, "round", manifest(round=1))[0][1] == "joined"


def no_point():
    keys = [HOLDERS[0].public, NO_POINT]

    class Holder:
        def __init__(self, public):
            self.public = public

    return enrolment(2, holders=[Holder(key) for key in keys])


REFUSED_ENROLMENTS = {
    "by a stranger": (enrolment(2, owner=STRANGER), "signature"),
    "for another owner": (enrolment(2, owner=OWNER, bound_to=STRANGER), "signature"),
    "another owner's, for itself": (enrolment(2, owner=STRANGER, bound_to=STRANGER), "signature"),
    "with a key that is no point": (no_point(), "holders"),
}


@pytest.mark.parametrize("name", REFUSED_ENROLMENTS)
def test_a_wrong_enrolment_is_refused_for_its_fault_and_changes_nothing(name):
    (frame, _), status = REFUSED_ENROLMENTS[name]
    bench = enrolled()
    answers(bench, "round", manifest())
    before = state(bench)

    assert [told for _, told in answers(bench, "enrol", frame)] == [status]
    assert state(bench) == before and bench.agent.edil.counts["refused"] == 1


def test_an_unbound_device_refuses_enrolment_and_round():
    bench = Bench().connect()
    bench.published()
    before = state(bench)

    for name, frame in (("enrol", enrolment()[0]), ("round", manifest())):
        assert answers(bench, name, frame) == [(sha256(frame), "unbound")]
    assert state(bench) == before


@pytest.mark.parametrize("fault", [True, OSError("no answer")])
def test_an_enrolment_that_cannot_be_stored_is_not_taken(fault):
    bench = enrolled()
    before = state(bench)
    bench.memory.fails = fault

    assert answers(bench, "enrol", enrolment(2)[0]) == [(enrolment(2)[1], "store")]

    assert state(bench) == before and bench.agent._store.number == 1
    bench.memory.fails = False
    assert answers(bench, "enrol", enrolment(2)[0])[0][1] == "enrolled"


# Manifests


def test_after_a_reset_a_round_needs_the_enrolment_again():
    memory = enrolled().memory
    bench = Bench(memory=memory).connect()
    bench.published()

    assert answers(bench, "round", manifest())[0][1] == "holders"
    assert answers(bench, "enrol", enrolment()[0])[0][1] == "enrolled"
    assert answers(bench, "round", manifest())[0][1] == "joined"


CID = MODEL.cid[:-1] + bytes([MODEL.cid[-1] ^ 1])
MOMENTS = MODEL.output_bytes + MODEL.output_bytes * (MODEL.output_bytes + 1) // 2
REFUSED_MANIFESTS = {
    "by a stranger": (manifest(signer=STRANGER, kid=HOLDERS[0].address), "signature"),
    "in a stranger's name": (manifest(signer=STRANGER), "signature"),
    "by the second holder": (manifest(signer=HOLDERS[1]), "signature"),
    "with another's key id": (manifest(kid=HOLDERS[1].address), "signature"),
    "for other holders": (manifest(holders=OTHERS), "holders"),
    "for fewer holders": (manifest(holders=HOLDERS[:2]), "holders"),
    "for another encoder": (manifest(model=CID), "model"),
    "for another width": (manifest(width=MODEL.output_bytes + 1), "model"),
    "whose sums overflow": (manifest(digits=1), "bounds"),
    "of more values than the ring has": (manifest(kind=rounds.DECODER, rows=60), "bounds"),
    "of rows behind the window": (manifest(kind=rounds.DECODER, first_row=120, rows=9), "bounds"),
    "with classes that its kind has not": (manifest(classes=2), "bounds"),
    "for a vector": (manifest(kind=rounds.VECTOR, rows=3), "bounds"),
    "cut": (manifest()[:-1], "malformed"),
    "no manifest": (b"\x80", "malformed"),
}


@pytest.mark.parametrize("name", REFUSED_MANIFESTS)
def test_a_wrong_manifest_is_refused_for_its_fault_and_changes_nothing(name):
    frame, status = REFUSED_MANIFESTS[name]
    bench = enrolled()
    before = state(bench)

    assert answers(bench, "round", frame) == [(sha256(frame), status)]
    assert state(bench) == before and bench.agent.edil.counts["refused"] == 1


@pytest.mark.parametrize(
    "first, second, status",
    [
        ({"round": 5}, {"round": 5, "clip": 100}, "round"),
        ({"round": 5}, {"round": 4}, "round"),
        ({"round": 5}, {"round": 6}, "joined"),
        ({"round": 5}, {"round": 5}, "joined"),
    ],
    ids=["the same number", "a lower number", "a higher number", "the same manifest"],
)
def test_while_it_is_in_a_round_only_a_higher_number_replaces_it(first, second, status):
    bench = enrolled()
    answers(bench, "round", manifest(**first))
    bench.pass_ms(2000)
    update = bench.agent.edil._update
    assert update.count == 1

    assert answers(bench, "round", manifest(**second)) == [(sha256(manifest(**second)), status)]

    now = bench.agent.edil._update
    assert (now is update) == (second != {"round": 6}) and now.count == (0 if second == {"round": 6} else 1)


def test_a_reset_before_the_ciphertext_lets_it_join_the_round_again_and_one_after_it_does_not():
    for waited_ms, status in ((1700, "joined"), (4000, "round")):
        bench = enrolled()
        answers(bench, "round", manifest(round=3))
        bench.pass_ms(waited_ms)

        again = Bench(memory=bench.memory).connect()
        again.published()
        answers(again, "enrol", enrolment()[0])
        assert answers(again, "round", manifest(round=3)) == [(sha256(manifest(round=3)), status)]
        assert (again.agent.edil._update is None) == (status == "round")


# Foreign bytes


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.sampled_from(["enrol", "round", "label", "taken"]),
    st.binary(max_size=120) | st.sampled_from([enrolment()[0], manifest()]).flatmap(
        lambda frame: st.builds(
            lambda at, byte: frame[:at] + bytes([byte]) + frame[at + 1 :],
            st.integers(0, len(frame) - 1),
            st.integers(0, 255),
        ).filter(lambda changed: changed != frame)
    ),
)  # fmt: skip
def test_foreign_bytes_on_any_topic_change_nothing_but_a_count(name, payload):
    bench = shared_bench()
    bench.agent.edil.label = None
    before = state(bench)

    bench.receive(name, payload)

    told = [status for _, status in statuses(bench.published())]
    assert not {"enrolled", "joined"} & set(told) and len(told) == (name in ("enrol", "round"))
    assert state(bench) == before or name == "label"


@functools.cache
def shared_bench():
    """One device for all examples: what one of them changed, the next would see."""
    return enrolled()


def test_no_repr_and_no_attribute_shows_a_key():
    bench = enrolled()
    answers(bench, "round", manifest())
    edil = bench.agent.edil
    shown = "".join(map(repr, (edil, vars(edil), edil._enrolment, vars(edil._enrolment), vars(edil._update))))

    keys = [SECRET, edil._enrolment.s_keys(bytes(32), 0, 3)]
    keys += edil._enrolment.s_keys.__closure__[0].cell_contents
    assert len(keys) == 5
    for key in keys:
        assert key.hex() not in shown and repr(key)[2:-1] not in shown


def test_a_device_that_hears_nothing_of_edil_says_nothing_of_it_and_loads_nothing():
    bench = Bench().connect()
    bench.pass_ms(60_000)

    assert [name for name, _ in bench.sent] == ["announce"] and bench.agent.edil is None
