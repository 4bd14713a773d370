"""Keys of the site's own parties (gateway, payer, owners, oracles): made once, kept in files only their user can read.

Devices' keys are not here: a device makes its own and never gives it away.
"""

import os
import secrets
from pathlib import Path

from coincurve import PrivateKey

from gateway.errors import CommandError, Exit


def load_or_make(path: Path) -> PrivateKey:
    """The key in `path` (64 hex digits), made there first if the file does not exist.

    Raises:
        CommandError: the file holds something else; its content is never shown.
    """
    try:
        return load(path)
    except FileNotFoundError:
        key = PrivateKey(secrets.token_bytes(32))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(key.to_hex().rjust(64, "0") + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    return key


def load(path: Path) -> PrivateKey:
    """The key in `path`.

    Raises:
        FileNotFoundError: there is none.
        CommandError: not 64 hex digits, or not a key of secp256k1.
    """
    text = path.read_text(errors="replace").strip()
    try:
        if len(text) != 64:
            raise ValueError
        return PrivateKey(bytes.fromhex(text))
    except ValueError:
        raise CommandError(f"{path}: got {len(text)} characters, wanted 64 hex digits of a key", Exit.USAGE) from None


def load_existing(path: Path) -> PrivateKey:
    """The key in `path`, for a command that takes --key. Raises CommandError as load, and where there is none."""
    try:
        return load(path)
    except FileNotFoundError:
        what = "there is no key; `tinyren up` makes one, or name it by --key"
        raise CommandError(f"{path}: {what}", Exit.USAGE) from None
