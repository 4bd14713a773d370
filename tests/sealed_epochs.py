"""Random epochs of work that is partly sealed to readers, honestly or not, and partly opened, for both scorers."""

import random
from dataclasses import replace

import cbor2
from coincurve import PrivateKey

from device.agent import seal
from device.agent.wire import WireError
from gateway.poai import private
from gateway.poai.simulated import MODEL
from gateway.verify.read import Job
from tests.scorer_epochs import ESCROWS, random_bindings, random_windows, random_work, write
from tests.verify_site import IDS, KEYS, OWNER, FixedChain, sign

READERS = [PrivateKey.from_int(number) for number in (11, 12)]
REVEAL, SEALED = -65550, -65551


def sealed_to(reader, device, body, ephemeral, plain):
    """A device's frame that seals `plain` to a reader's key, as the first four of a reveal's fields name it."""
    agreed = ephemeral.ecdh(reader.public_key.format())
    fields = [*body[:4], reader.public_key.format(), ephemeral.public_key.format(), seal.cover(agreed, plain)]
    return sign(KEYS[IDS.index(device)], cbor2.dumps({SEALED: fields}), device)


def random_seal(dice, reader, device, body):
    """A reveal's body sealed: mostly as it is; else another inference's, nothing at all, to a key that is none, or
    signed by another device.
    """
    ephemeral = PrivateKey(dice.randbytes(32))
    kind = dice.choices(["right", "another", "noise", "no point", "forged"], [12, 1, 1, 1, 1])[0]
    said = [*body[:2], body[2] + 1, *body[3:]] if kind == "another" else body
    plain = dice.randbytes(200) if kind == "noise" else cbor2.dumps({REVEAL: said})
    if kind == "no point":
        fields = [*body[:4], reader.public_key.format(), b"\x02" + bytes(32), plain]
        return sign(KEYS[IDS.index(device)], cbor2.dumps({SEALED: fields}), device)
    sealed = sealed_to(reader, device, body, ephemeral, plain)
    if kind == "forged":
        return sign(KEYS[IDS.index(device) - 1], cbor2.loads(sealed).value[2], device)
    return sealed


def random_opening(dice, frame, reader):
    """An opening of a sealed frame: mostly its reader's; else of another's key, of another point, or a damaged one."""
    sealed, _, _ = private.read_sealed(0, frame)
    kind = dice.choices(["right", "another's", "another point", "damaged", "signed by another"], [6, 1, 1, 1, 1])[0]
    key = next(other for other in READERS if other is not reader) if kind == "another's" else reader
    if kind == "another point":
        sealed = replace(sealed, point=PrivateKey(dice.randbytes(32)).public_key.format())
    opened = bytearray(private.sign_opening(sealed, key, dice.randbytes(32)))
    if kind == "signed by another":
        return sign(KEYS[0], cbor2.loads(bytes(opened)).value[2], IDS[0])
    if kind == "damaged":
        opened[dice.randrange(len(opened))] ^= 1 << dice.randrange(8)
    return bytes(opened)


def random_sealed(dice, epoch, count):
    """As random_work, but most reveals are sealed, and of these some are opened."""
    items = []
    for at_ms, frame in random_work(dice, epoch, count):
        items.append([at_ms, frame])
        try:
            message = cbor2.loads(frame).value
            body = cbor2.loads(message[2])
        except (cbor2.CBORDecodeError, AttributeError, ValueError):
            continue
        if REVEAL not in body or dice.random() < 0.1:
            continue
        reader = dice.choices(READERS, [9, 1])[0]
        sealed = random_seal(dice, reader, message[1][4], body[REVEAL])
        items[-1] = [at_ms, sealed]
        if dice.random() < 0.1:
            items.append([at_ms, frame])
        if dice.random() < 0.15:
            try:
                items.append([at_ms + dice.choice([0, 10_000]), random_opening(dice, sealed, reader)])
            except WireError:
                continue
    return items


def random_sealed_jobs(dice):
    """Jobs for the model as it is, and sealed to each reader."""
    models = [MODEL, *(private.sealed_model(MODEL, reader.public_key.format()) for reader in READERS)]
    return [
        Job(dice.choice(ESCROWS), number, dice.choice(models), None, dice.choice([3, 20, 1000]), price=number % 3)
        for number in range(1, dice.randint(1, 4) + 1)
    ]


def make_sealed(folder, seed):
    """Two epochs of work that is partly sealed, frauds that were opened among it; their chain."""
    dice, chain = random.Random(seed), FixedChain()
    for epoch in (1, 2):
        windows = random_windows(dice, epoch)
        write(folder, epoch, windows, random_sealed(dice, epoch, windows[0]["windows"]))
    chain.bound = {deed: (OWNER, slots, ids) for deed, (_, slots, ids) in random_bindings(dice).items()}
    for epoch in (1, 2):
        chain.open_jobs[epoch] = random_sealed_jobs(dice)
    return chain
