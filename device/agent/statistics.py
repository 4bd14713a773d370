"""Which sums a round asks for, where each stands, and whether they fit; pure, on device and gateway alike.

Layout and bounds: EDIL.md, section 4. Refuses a manifest whose sums could leave what its ring and digits carry.
"""

from . import rounds
from .errors import WireError


def moments(width: int) -> int:
    """How many values the moments of a width have: sums, and the upper triangle of sums of products."""
    return width + width * (width + 1) // 2


def count_values(manifest) -> int:
    """How many values a round's vector has (rounds.Manifest)."""
    width = manifest.width
    if manifest.kind == rounds.CLASSES:
        return moments(width) + manifest.classes * (1 + width)
    if manifest.kind == rounds.DECODER:
        return moments(width) + manifest.rows * (1 + width)
    if manifest.kind == rounds.INFERENCE:
        return width
    if manifest.kind == rounds.VECTOR:
        return manifest.rows
    return moments(width)


def largest(digits: int) -> int:
    """Greatest value that balanced base-256 digits carry with either sign."""
    return 127 * ((256**digits - 1) // 255)


def check_fits(manifest):
    """Raise WireError unless every sum that the round asks for is carried exactly."""
    uses = (manifest.classes, manifest.rows)
    wanted = {rounds.CLASSES: (True, False), rounds.DECODER: (False, True), rounds.VECTOR: (False, True)}
    if tuple(map(bool, uses)) != wanted.get(manifest.kind, (False, False)):
        raise WireError("malformed", f"classes, rows: got {uses}, wanted what kind {manifest.kind} has")
    if manifest.kind == rounds.INFERENCE and manifest.digits != 1:
        raise WireError("malformed", f"digits: got {manifest.digits}, wanted 1 for inference")
    coefficients = count_values(manifest) * manifest.digits
    if coefficients > manifest.ring - 2:
        raise WireError("malformed", f"values: got {coefficients} coefficients, wanted at most {manifest.ring - 2}")
    if manifest.kind not in (rounds.INFERENCE, rounds.VECTOR):
        reach = manifest.clip * manifest.clip * manifest.windows
        if reach > largest(manifest.digits):
            raise WireError("malformed", f"windows: got sums up to {reach}, wanted at most {largest(manifest.digits)}")


def add_window(manifest, sums, z, x, label, add_moments):
    """Add one window to a round's sums, the values of EDIL.md, section 4, in their order.

    Args:
        manifest: rounds.Manifest of a kind that check_fits took, not of kind 5. sums: array('i') of count_values.
        z: int8[width], the embedding; x: int8[n], the window; both bytes-like and read only. label: its class.
        add_moments: the port's (sums, z, x, clip).
    """
    width, clip = manifest.width, manifest.clip
    if manifest.kind == rounds.INFERENCE:
        for index in range(width):
            sums[index] = hold(z[index], clip)
        return
    rows = memoryview(x)[manifest.first_row : manifest.first_row + manifest.rows]
    native = moments(width) + manifest.rows * (1 + width)
    add_moments(memoryview(sums)[:native], z, rows, clip)
    if manifest.kind == rounds.CLASSES:
        sums[native + label] += 1
        start = native + manifest.classes + label * width
        for index in range(width):
            sums[start + index] += hold(z[index], clip)


def hold(byte: int, clip: int) -> int:
    """A byte of int8 (0..255), held to -clip..clip."""
    return max(-clip, min(clip, byte - 256 if byte > 127 else byte))
