"""A buyer's own audit where nobody else may see the inputs, pure; tells no one but who holds the salt.

A device that works for one buyer signs a commitment in place of the window, and seals window and salt to the buyer.
Oracles check the chain alone; whether the model was run is for the buyer to say, who has the windows. No agent does so
yet: this is the form that is signed and the check that a buyer makes.
"""

import hashlib

from gateway.poai.verdict import Run

SALT_BYTES = 16


class AuditFailed(Exception):
    """What was opened is not what was signed, or not what the model gives."""


def commit(window: bytes, salt: bytes) -> bytes:
    """32 bytes that bind to a window and tell nothing of it without the salt (16 bytes, new for each window).

    Raises:
        ValueError: the salt has another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"salt: got {len(salt)} bytes, wanted {SALT_BYTES}")
    return hashlib.sha256(b"tinyren window" + salt + window).digest()


def audit(commitment: bytes, salt: bytes, window: bytes, output: bytes, run: Run) -> None:
    """Check an opened window: it is the committed one, and the model gives `output` for it.

    Raises:
        AuditFailed: one of the two is not so; the signed commitment and output are the buyer's proof.
    """
    if len(salt) != SALT_BYTES or commit(window, salt) != commitment:
        raise AuditFailed("window: got another one than was signed; ask the device again, or count the work as missed")
    try:
        given = run(window)
    except ValueError as error:
        raise AuditFailed(f"window: {error}") from error
    if given != output:
        raise AuditFailed(f"output: got {output.hex()}, the model gives {given.hex()}")
