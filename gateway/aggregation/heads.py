"""A linear head for encrypted embeddings by coefficient packing, pure; refuses heads whose logits could come out wrong.

One product of polynomials gives all logits, so no Galois or relinearisation keys are needed (EDIL.md, section 7): with
w(X) = sum_c sum_j W[c][j] X^(c d + d-1-j) the coefficient c d + d-1 of m(X) w(X) is sum_j W[c][j] z_j.
"""

from device.agent import rounds
from gateway.aggregation import rings
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import Head
from gateway.aggregation.rings import Ring


def check_head(manifest: rounds.Manifest, head: Head) -> None:
    """Refuse a head that does not fit the round, or whose logits could leave t or the noise's limit.

    Raises:
        Refused: reason `bounds`; the message has the numbers.
    """
    classes, width = len(head.weights), len(head.weights[0])
    if manifest.kind != rounds.INFERENCE:
        raise Refused("bounds", f"head: got one for kind {manifest.kind}, wanted kind {rounds.INFERENCE}")
    if width != manifest.width or classes * width > manifest.ring:
        got = f"{classes} classes of {width} weights"
        raise Refused("bounds", f"head: got {got}, wanted {manifest.width} and at most {manifest.ring} in all")
    reach = max(
        manifest.clip * sum(map(abs, row)) + abs(bias) for row, bias in zip(head.weights, head.bias, strict=True)
    )
    if reach >= rings.T // 2:
        raise Refused("bounds", f"logits: got up to {reach}, wanted less than {rings.T // 2}")
    noise = rings.noise_of_head(rings.RINGS[manifest.ring], head.weights)
    if not noise.suffices:
        raise Refused("bounds", f"noise of the head: got {noise}, wanted less")


def place_of_logit(width: int, index: int) -> int:
    """Which coefficient is the logit of class `index`."""
    return index * width + width - 1


def polynomial(head: Head) -> list[int]:
    """w(X): the coefficients, int8, from X^0."""
    return [weight for row in head.weights for weight in reversed(row)]


def biases(ring: Ring, head: Head) -> dict[int, int]:
    """What is added to c0, a residue by coefficient."""
    width = len(head.weights[0])
    return {place_of_logit(width, index): ring.scale(bias) % ring.q for index, bias in enumerate(head.bias)}
