"""Writes the Python module that a firmware freezes, so that its encoder stays in flash; needs nothing but Python."""

import hashlib
import json


def frozen_module(artifact: bytes, host_json: str) -> str:
    """Source of a module with ARTIFACT (bytes), OFFSETS and SHIFTS (one integer a channel), SAMPLE_MS.

    Args:
        artifact: an encoder.ren as models.artifact.compile_model returns it.
        host_json: the text of the JSON file beside it; its `offsets` and `shifts` quantise raw samples, which are
            `sample_ms` apart.
    Raises:
        ValueError: artifact is no artifact, or damaged.
    """
    if artifact[:4] != b"REN3":
        raise ValueError(f"artifact: begins with {artifact[:4]!r}, wanted b'REN3'")
    if hashlib.sha256(artifact[:-32]).digest() != artifact[-32:]:
        raise ValueError("artifact: digest does not match, it is damaged")
    host = json.loads(host_json)
    return (
        f'"""Encoder {host["name"]}; a sample enters its window as clamp((raw - offset) >> shift, -128, 127)."""\n\n'
        f"ARTIFACT = {artifact!r}\n"
        f"OFFSETS = {tuple(host['offsets'])!r}\n"
        f"SHIFTS = {tuple(host['shifts'])!r}\n"
        f"SAMPLE_MS = {host['sample_ms']!r}\n"
    )
