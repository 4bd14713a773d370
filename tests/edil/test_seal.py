"""TenSEAL at the gateway: SEAL reads what we write, sees nothing that was not checked, and its heads are exact."""

import random
import struct

import pytest

from device.agent import hkdf, rounds
from device.native import edil
from gateway import curve
from gateway.aggregation import heads, messages, rings
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import Head
from tests.edil_rounds import HOLDERS, OWNER_ADDRESS, Agent, Gateway, key_sum, manifest, open_with, sign_with

seal = pytest.importorskip("gateway.aggregation.seal", reason="TenSEAL is not installed: pip install tinyren[edil]")
sealapi = seal.sealapi

RING = rings.RINGS[1024]
AGENTS = [Agent(1), Agent(2), Agent(3)]


def random_residues(seeded, ring):
    return struct.pack(f"{ring.n}I", *(seeded.randrange(ring.q) for _ in range(ring.n)))


def multiply(ring, left, right):
    """Product in Z_q[X] / (X^N + 1) by the schoolbook; right has few terms."""
    result = [0] * ring.n
    for power, factor in enumerate(right):
        if factor:
            for at, value in enumerate(left):
                place, sign = (at + power, 1) if at + power < ring.n else (at + power - ring.n, -1)
                result[place] += sign * factor * value
    return [value % ring.q for value in result]


@pytest.mark.parametrize("n", sorted(rings.RINGS))
def test_seal_takes_the_rings_as_128_bit_secure_and_counts_them_as_we_do(n):
    data = seal.context_of(rings.RINGS[n]).first_context_data().parms()
    assert data.poly_modulus_degree() == n and [one.value() for one in data.coeff_modulus()] == [rings.RINGS[n].q]
    assert rings.RINGS[n].ciphertext_bytes == rounds.RINGS[n] == edil.CIPHERTEXT_BYTES[n]


def test_a_ring_outside_seals_table_is_refused():
    with pytest.raises(seal.SealMismatch, match="N 1024"):
        seal.context_of(rings.Ring(1024, 1073692673, 30, 0, 0))


def test_a_seal_of_another_version_is_refused(monkeypatch):
    seal.check_version()
    monkeypatch.setattr(seal, "VERSION", (4, 4))
    with pytest.raises(seal.SealMismatch, match="got 4.3 of TenSEAL"):
        seal.check_version()
    with pytest.raises(seal.SealMismatch):
        seal.Product(RING, [1], {})


@pytest.mark.parametrize("n", sorted(rings.RINGS))
def test_a_product_is_the_schoolbooks(n):
    seeded, ring = random.Random(n), rings.RINGS[n]
    b, a = random_residues(seeded, ring), random_residues(seeded, ring)
    polynomial = [0] * n
    for _ in range(5):
        polynomial[seeded.randrange(n)] = seeded.randint(-128, 127)
    product = seal.Product(ring, polynomial, {3: 17})
    wanted = [multiply(ring, memoryview(one).cast("I"), polynomial) for one in (b, a)]
    wanted[0][3] = (wanted[0][3] + 17) % ring.q
    for _ in range(2):  # buffers are used again
        got = product.apply(b, a)
        assert [list(memoryview(one).cast("I")) for one in got] == wanted
    product.close()


@pytest.mark.parametrize("change", ["q", "short"])
def test_seal_sees_no_residue_that_is_not_below_q(change):
    product = seal.Product(RING, [1], {})
    good = random_residues(random.Random(1), RING)
    bad = struct.pack("I", RING.q) + good[4:] if change == "q" else good[:-4]
    product._input = None  # whoever loads into SEAL now fails
    with pytest.raises(ValueError, match="residues: got"):
        product.apply(bad, good)


def test_a_result_of_another_shape_is_refused():
    other = sealapi.Ciphertext()
    with pytest.raises(seal.SealMismatch, match="result: got"):
        seal.read_ciphertext(other, RING)


def test_seal_itself_opens_our_aggregate_to_the_same_message(tmp_path):
    gateway = Gateway(tmp_path, AGENTS)
    frame, digest, enrolment = gateway.open(manifest(rows=1022), weights={AGENTS[0].id: 3})
    values = [[(number * 71 + 13 * at) % 255 - 127 for at in range(1022)] for number in range(3)]
    for agent, own in zip(AGENTS, values, strict=True):
        gateway.give(agent, frame, enrolment, own)
    gateway.rounds.close_round(digest)
    aggregate = gateway.rounds.closed(digest)[1]
    secret = key_sum(frame, enrolment, [(AGENTS[0], 3), (AGENTS[1], 1), (AGENTS[2], 1)])
    opened = open_by_seal(tmp_path, aggregate, hkdf.a_key(digest), secret)
    assert opened == open_with(1024, aggregate, hkdf.a_key(digest), secret)
    assert opened[:1022] == [3 * first + second + third for first, second, third in zip(*values, strict=True)]


def open_by_seal(folder, ciphertext, a_key, secret):
    """The message, by SEAL's own decryptor and a secret key in its own format."""
    context = seal.context_of(RING)
    parms_id = struct.pack("<4Q", *context.first_parms_id())
    both = seal.np.frombuffer(edil.unpack(1024, ciphertext) + edil.uniform(1024, a_key), seal.np.uint32)
    loaded, path = sealapi.Ciphertext(), folder / "seal"
    path.write_bytes(seal.write_ciphertext(parms_id, 1024, both))
    loaded.load(context, str(path))
    numbers = struct.pack("<1024Q", *transform(memoryview(secret).cast("i")))
    array = seal._with_header(struct.pack("<Q", 1024) + numbers)
    path.write_bytes(seal._with_header(parms_id + struct.pack("<Qd", 1024, 1.0) + array))
    key, plain = sealapi.SecretKey(), sealapi.Plaintext()
    key.load(context, str(path))
    sealapi.Decryptor(context, key).decrypt(loaded, plain)
    found = [plain[at] if at < plain.coeff_count() else 0 for at in range(1024)]
    return [value - rings.T if value >= rings.T // 2 else value for value in found]


def transform(values):
    """NTT in SEAL's order, naively: value i is the polynomial at psi^(2 reversed(i) + 1)."""
    q, powers = RING.q, [1]
    for _ in range(2047):
        powers.append(powers[-1] * RING.psi % q)
    for at in range(1024):
        step = 2 * int(f"{at:010b}"[::-1], 2) + 1
        yield sum(value * powers[step * place % 2048] for place, value in enumerate(values)) % q


HEAD_ROWS = [[(3 * row + 7 * at) % 5 - 2 for at in range(8)] for row in range(6)]
BIAS = [-100, 0, 7, 12000, -1, 55]


def tell_head(gateway, digest, rows=HEAD_ROWS, bias=BIAS, signer=HOLDERS[0]):
    head = Head(digest, tuple(map(tuple, rows)), tuple(bias))
    frame = messages.sign_head(head, curve.address_of(signer.secret), sign_with(signer))
    return gateway.rounds.tell_head(frame)


def logits_of(gateway, agent, answer, digest, enrolment):
    """What the data owner reads, with its own key alone."""
    c0, c1 = answer.ciphertext[:3456], answer.ciphertext[3456:]
    (s_key,) = agent.keys(enrolment, digest, answer.index, HOLDERS[:1])
    secret = memoryview(edil.secret(1024, s_key)).cast("i")
    # c1 s by the schoolbook: the terms of the sum are the secret's
    product = multiply(RING, list(memoryview(edil.unpack(1024, c1)).cast("I")), list(secret))
    opened = []
    for row in range(len(HEAD_ROWS)):
        place = heads.place_of_logit(8, row)
        residue = (memoryview(edil.unpack(1024, c0)).cast("I")[place] + product[place]) % RING.q
        value = (residue * rings.T + RING.q // 2) // RING.q % rings.T
        opened.append(value - rings.T if value >= rings.T // 2 else value)
    return opened


@pytest.mark.parametrize("is_told_first", [True, False])
def test_encrypted_logits_are_the_plaintext_ones_whenever_the_head_is_told(tmp_path, is_told_first):
    gateway = Gateway(tmp_path, AGENTS)
    frame, digest, enrolment = gateway.open(manifest(kind=rounds.INFERENCE, windows=2, clip=127))
    sent = [(AGENTS[0], 0, list(range(-4, 4))), (AGENTS[0], 1, [127] * 8), (AGENTS[1], 0, [-127, 127] * 4)]
    if is_told_first:
        tell_head(gateway, digest)
    for agent, index, values in sent:
        ciphertext = agent.encrypt(frame, enrolment, values, index=index)
        assert gateway.send(agent.messages(digest, enrolment, ciphertext, index=index))[-1][3] == "stored"
        gateway.rounds.turn()
    assert len(gateway.rounds.answers(digest)) == (3 if is_told_first else 0)
    if not is_told_first:
        gateway.restart()
        tell_head(gateway, digest)
    gateway.restart()
    gateway.rounds.turn()
    by_place = {(answer.device, answer.index): answer for answer in gateway.rounds.answers(digest)}
    assert len(by_place) == 3
    for agent, index, values in sent:
        wanted = [
            sum(weight * value for weight, value in zip(row, values, strict=True)) + bias
            for row, bias in zip(HEAD_ROWS, BIAS, strict=True)
        ]
        assert logits_of(gateway, agent, by_place[agent.id, index], digest, enrolment) == wanted
    gateway.now_ms = 1 << 60
    gateway.rounds.turn()
    assert gateway.rounds.status(digest)["state"] == "ended"


BAD_HEADS = {
    "another's signature": ("signature", {"signer": HOLDERS[1]}),
    "another width": ("bounds", {"rows": [[1] * 9], "bias": [0]}),
    "more weights than the ring has coefficients": ("bounds", {"rows": [[0] * 8] * 129, "bias": [0] * 129}),
    "logits beyond t": ("bounds", {"rows": [[127] * 8], "bias": [0]}),
    "a bias beyond t": ("bounds", {"rows": [[1] * 8], "bias": [32768 - 8 * 127]}),
    "too much noise": ("bounds", {"rows": [[13] * 8] * 12, "bias": [0] * 12}),
}


@pytest.mark.parametrize("case", BAD_HEADS)
def test_a_head_that_does_not_fit_is_refused(tmp_path, case):
    reason, options = BAD_HEADS[case]
    gateway = Gateway(tmp_path, AGENTS)
    _, digest, _ = gateway.open(manifest(kind=rounds.INFERENCE, windows=2))
    before = gateway.state()
    with pytest.raises(Refused) as caught:
        tell_head(gateway, digest, **options)
    assert caught.value.reason == reason and gateway.state() == before
    tell_head(gateway, digest)
    with pytest.raises(Refused, match="wanted one a round"):
        tell_head(gateway, digest, bias=[0] * 6)


def test_a_head_for_a_round_of_sums_is_refused(tmp_path):
    gateway = Gateway(tmp_path, AGENTS)
    _, digest, _ = gateway.open()
    with pytest.raises(Refused, match="head: got one for kind 5"):
        tell_head(gateway, digest)
    assert gateway.owners[AGENTS[0].id] == OWNER_ADDRESS
