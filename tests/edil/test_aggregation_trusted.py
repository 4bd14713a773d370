"""Gateway-trusted rounds: never silently, marked in every output, and otherwise as strict as the others."""

import base64
import json
from threading import RLock

import httpx
import pytest

from device.agent.errors import WireError
from device.agent.plain import sign_plain
from gateway import curve
from gateway.aggregation import messages, trusted
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.known import MAX_OPEN
from gateway.aggregation.messages import Plain
from gateway.aggregation.rounds_store import RoundsStore
from gateway.aggregation.trusted import TrustedRounds
from tests.edil_rounds import DEADLINE_MS, GATEWAY, NOW_MS, OWNER_ADDRESS, Agent, Gateway
from tests.edil_web import serve_edil

seal = pytest.importorskip("gateway.aggregation.seal", reason="TenSEAL is not installed: pip install tinyren[edil]")
tenseal = seal.tenseal

AGENTS = [Agent(number) for number in range(1, 5)]
VALUES = [[number - 100, 7, -1_000_000] for number in range(4)]


@pytest.fixture(scope="module")
def data_owner():
    """A TenSEAL context with its secret key, which the gateway never gets."""
    made = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[40, 20, 40])
    made.global_scale = 2**30
    return made


class Scene:
    def __init__(self, folder, data_owner):
        self.now_ms, self.path = NOW_MS, folder / "rounds.sqlite"
        self.owners = {agent.id: OWNER_ADDRESS for agent in AGENTS[:3]}
        self.public = data_owner.serialize(save_secret_key=False, save_galois_keys=False, save_relin_keys=False)
        self.start()

    def start(self):
        known = {agent.id: agent.known for agent in AGENTS}
        self.store = RoundsStore(self.path)
        self.rounds = TrustedRounds(self.store, GATEWAY, known, lambda: self.owners, lambda: self.now_ms, RLock())

    def configuration(self, **changes):
        fields = {
            "confidentiality": "gateway-trusted", "name": "bench 3", "values": 3, "bound": 1_000_000, "k_min": 2,
            "deadline_ms": DEADLINE_MS, "context": base64.b64encode(self.public).decode(),
        }  # fmt: skip
        return {name: value for name, value in (fields | changes).items() if value is not None}

    def give(self, number, digest, values=None, sign=None):
        agent = AGENTS[number]
        plain = Plain(digest, tuple(values or VALUES[number]))
        self.rounds.give(sign_plain(*plain, agent.id, sign or agent.sign))

    def state(self):
        return [self.store.trusted(), [self.store.trusted_devices(row.digest) for row in self.store.trusted()]]


@pytest.fixture
def scene(tmp_path, data_owner):
    return Scene(tmp_path, data_owner)


def test_the_data_owner_reads_the_sum_and_every_output_says_whom_it_trusted(scene, data_owner):
    digest = scene.rounds.open(scene.configuration())
    scene.give(0, digest)
    scene.store.close()
    scene.start()
    scene.give(1, digest)
    scene.now_ms = DEADLINE_MS + 1
    scene.rounds.turn()
    frame, total = scene.rounds.closed(digest)
    opened = tenseal.ckks_vector_from(data_owner, total).decrypt()
    assert [round(value) for value in opened] == [-199, 14, -2_000_000]
    record = messages.open_trusted_set(frame)
    assert record.is_by(curve.address_of(GATEWAY.secret)) and set(record.body.devices) == {AGENTS[0].id, AGENTS[1].id}
    assert b"gateway-trusted" in frame
    (status,) = scene.rounds.rounds()
    assert (status["confidentiality"], status["state"]) == ("gateway-trusted", "closed")
    assert json.dumps(status)


def test_the_store_holds_no_values(scene):
    digest = scene.rounds.open(scene.configuration())
    scene.give(0, digest, [123456, -654321, 777777])
    files = b"".join(path.read_bytes() for path in scene.path.parent.iterdir())
    for value in (123456, -654321, 777777):
        assert value.to_bytes(4, "little", signed=True) not in files and str(value).encode() not in files


CONFIGURATIONS = {
    "no mode": ("bounds", {"confidentiality": None}),
    "another mode": ("bounds", {"confidentiality": "encrypted-on-device"}),
    "an unknown field": ("malformed", {"weights": 1}),
    "a missing field": ("malformed", {"bound": None}),
    "another type": ("malformed", {"k_min": "2"}),
    "one device": ("bounds", {"k_min": 1}),
    "a deadline that is past": ("late", {"deadline_ms": NOW_MS}),
    "no context": ("context", {"context": ""}),
    "no base64": ("context", {"context": "%%%"}),
    "garbage": ("context", {"context": "AAAA"}),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_configuration_that_does_not_say_all_opens_nothing(scene, case):
    reason, changes = CONFIGURATIONS[case]
    with pytest.raises(Refused) as caught:
        scene.rounds.open(scene.configuration(**changes))
    assert caught.value.reason == reason and scene.rounds.rounds() == []


def test_a_context_with_the_secret_key_or_of_another_scheme_is_refused(scene, data_owner):
    other = tenseal.context(tenseal.SCHEME_TYPE.BFV, 4096, 1032193).serialize(save_secret_key=False)
    for content in (data_owner.serialize(save_secret_key=True), other):
        with pytest.raises(Refused, match="wanted CKKS with a public key and without the secret one"):
            scene.rounds.open(scene.configuration(context=base64.b64encode(content).decode()))


GIVEN = {
    "another length": ("bounds", 1, {"values": [1, 2]}),
    "beyond the bound": ("bounds", 1, {"values": [1, 2, 1_000_001]}),
    "another's signature": ("signature", 1, {"sign": AGENTS[2].sign}),
    "a device that is not bound": ("unbound", 3, {}),
    "a device twice": ("twice", 0, {}),
}


@pytest.mark.parametrize("case", GIVEN)
def test_values_that_may_not_count_change_nothing(scene, case):
    reason, number, options = GIVEN[case]
    digest = scene.rounds.open(scene.configuration())
    scene.give(0, digest)
    before = scene.state()
    with pytest.raises(Refused) as caught:
        scene.give(number, digest, **options)
    assert caught.value.reason == reason and scene.state() == before


def test_late_values_too_few_devices_and_unknown_rounds(scene):
    digest = scene.rounds.open(scene.configuration())
    scene.give(0, digest)
    scene.now_ms = DEADLINE_MS + 1
    with pytest.raises(Refused, match="deadline_ms: got"):
        scene.give(1, digest)
    scene.rounds.turn()
    with pytest.raises(Refused, match="got one that is failed"):
        scene.rounds.closed(digest)
    with pytest.raises(KeyError):
        scene.give(1, bytes(32))
    with pytest.raises(WireError):
        messages.open_trusted_set(sign_plain(digest, (1,), AGENTS[0].id, AGENTS[0].sign))


def test_so_many_may_be_open_at_once_and_of_those_that_ended_the_last_are_kept(scene, monkeypatch):
    monkeypatch.setattr(trusted, "ROUNDS_KEPT", 3)
    opened = [scene.rounds.open(scene.configuration(name=f"{number}")) for number in range(MAX_OPEN)]
    with pytest.raises(Refused) as caught:
        scene.rounds.open(scene.configuration(name="one more"))
    assert caught.value.reason == "space" and len(scene.rounds.rounds()) == MAX_OPEN
    scene.give(0, opened[1])
    for digest in opened[1:]:
        scene.rounds.close(digest)
    last = scene.rounds.open(scene.configuration(name="last"))
    kept = [opened[0], *opened[-3:], last]
    assert [row["digest"] for row in scene.rounds.rounds()] == [digest.hex() for digest in kept]
    assert scene.store.trusted_devices(opened[1]) == []
    scene.store.close()
    scene.start()
    assert [row["digest"] for row in scene.rounds.rounds()] == [digest.hex() for digest in kept]


def test_over_http_the_mode_is_named_too_and_the_rounds_of_edil_have_none_of_it(tmp_path, scene):
    (tmp_path / "gateway").mkdir()
    gateway = Gateway(tmp_path / "gateway", AGENTS)
    with serve_edil(gateway.rounds) as url, httpx.Client(base_url=url) as client:
        assert client.post("/edil/trusted", json=scene.configuration(confidentiality=None)).json()["error"] == "bounds"
        digest = client.post("/edil/trusted", json=scene.configuration()).json()
        for number in (0, 1):
            plain = Plain(bytes.fromhex(digest), tuple(VALUES[number]))
            frame = sign_plain(*plain, AGENTS[number].id, AGENTS[number].sign)
            assert client.post("/edil/trusted/values", json={"plain": frame.hex()}).status_code == 200
        assert client.get(f"/edil/trusted/{digest}/closed").json()["error"] == "closed"
        gateway.now_ms = DEADLINE_MS + 1
        gateway.rounds.turn()
        closed = client.get(f"/edil/trusted/{digest}/closed").json()
        assert closed["confidentiality"] == "gateway-trusted" and set(closed) == {"confidentiality", "set", "total"}
        (status,) = client.get("/edil/trusted").json()["rounds"]
        assert (status["confidentiality"], status["state"]) == ("gateway-trusted", "closed")
        assert client.get("/edil/rounds").json() == {"rounds": []}
