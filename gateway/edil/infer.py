"""Encrypted inference (EDIL.md, section 7): a fitted head in integers that a gateway may apply, and its logits read.

The gateway learns the head, which is told in the clear, and neither embedding nor logits. c1 is not needed to open an
answer: c1 s = a (w s), and the data owner knows head, key and a; so a gateway cannot choose what s is multiplied with.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from coincurve import PrivateKey

from device.agent import hkdf, rounds
from device.agent.rounds import Manifest
from gateway import curve
from gateway.aggregation import heads, messages
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import Head
from gateway.edil import keys, opening
from gateway.edil.client import Gateway
from gateway.edil.owner import NotOpened
from gateway.edil.shares import sign_with

WEIGHT_MAX = 127
HALVINGS = 40


def quantise_head(manifest: Manifest, fitted: Mapping[str, Any]) -> Head:
    """The finest head of integers within what the ring carries (heads.check_head), a common factor times the fitted.

    Args:
        fitted: {"weights" [w][classes], "bias" [classes]}, as fit.regress gives it.
    Raises:
        NotOpened: even the coarsest head does not fit.
    """
    weights, bias = np.array(fitted["weights"], float).T, np.array(fitted["bias"], float)
    low, high = 0.0, WEIGHT_MAX / max(float(np.abs(weights).max()), 1e-12)
    found = None
    for _ in range(HALVINGS):
        factor = (low + high) / 2
        rows, added = np.rint(weights * factor).astype(int), np.rint(bias * factor).astype(int)
        head = Head(manifest.digest, tuple(map(tuple, rows.tolist())), tuple(added.tolist()))
        try:
            heads.check_head(manifest, head)
            low, found = factor, head
        except Refused:
            high = factor
    if found is None or not any(map(any, found.weights)):
        raise NotOpened("head: got one whose weights all round to 0 where ring and clip would carry it")
    return found


def infer(gateway: Gateway, digest: bytes, secret: PrivateKey, fields: Any) -> list[dict[str, Any]]:
    """Tell a gateway the head of what `tinyren edil fit` wrote, once, and read the answers that there are.

    Returns:
        A row for each embedding: {"device", "index", "class", "logits"}; logits are those of the head in integers.
    Raises:
        NotOpened: no head, another's round, or an update that its device did not sign. GatewayAway, GatewayRefused.
    """
    if not isinstance(fields, dict) or "head" not in fields:
        raise NotOpened("fit: got no head, wanted what `tinyren edil fit` wrote of a round of kind classes")
    manifest, data_owner, _, _ = rounds.open_manifest(gateway.manifest(digest))
    if manifest.digest != digest or data_owner != curve.address_of(secret.secret):
        raise NotOpened("round: got another's, or another manifest than was asked for")
    head = quantise_head(manifest, fields["head"])
    gateway.tell_head(messages.sign_head(head, data_owner, sign_with(secret)))
    rows = []
    for header, ciphertext in gateway.answers(digest):
        device, index, logits = read_logits(manifest, head, secret, header, ciphertext)
        best = max(range(len(logits)), key=logits.__getitem__)
        rows.append({"device": "0x" + device.hex(), "index": index, "class": best, "logits": logits})
    return rows


def read_logits(
    manifest: Manifest, head: Head, secret: PrivateKey, header: bytes, ciphertext: bytes
) -> tuple[bytes, int, list[int]]:
    """(device, index, logits) of one answer: the device's signed header, and c0 | c1.

    Raises:
        NotOpened: not signed by its device, of another round, or not of the ring's length.
    """
    update = messages.open_update(header)
    key = curve.recover(update.signature, update.signed, update.device)
    size = rounds.RINGS[manifest.ring]
    if key is None or update.manifest != manifest.digest or len(ciphertext) != 2 * size:
        raise NotOpened(f"answer of 0x{update.device.hex()}: got a header or ciphertext that is not of this round")
    shared = keys.derive_device_key(secret, key, update.device, update.enrolment)
    s = opening.sum_secrets(manifest.ring, [(1, hkdf.s_key(shared, manifest.digest, update.index))])
    folded = opening.multiply(manifest.ring, np.array(heads.polynomial(head), np.int64), s)
    a_key = hkdf.a_key(manifest.digest, update.device, update.index)
    try:
        opened = opening.open_sum(manifest.ring, ciphertext[:size], a_key, folded)
    except ValueError as error:
        raise NotOpened(f"answer of 0x{update.device.hex()}: {error}") from None
    width = len(head.weights[0])
    places = [heads.place_of_logit(width, index) for index in range(len(head.bias))]
    return update.device, update.index, opened[places].tolist()
