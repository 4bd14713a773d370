"""What a board has shown by its self-test, pure: whose key signed, and that all asked for works; it asks no board.

Nothing of a board is believed but its signature: the id is that of the key which signed the announce.
"""

from dataclasses import dataclass

from boards.selftest import SelfTest
from device.agent import wire
from device.agent.errors import WireError
from gateway import curve


class Dead(Exception):
    """A board does not leave the factory; why, and what to do next."""


@dataclass(frozen=True)
class Shown:
    """device: id, 20 bytes; version: of its firmware or agent; source: where its samples come from; owner: the address
    that it keeps, None for none.
    """

    device: bytes
    version: str
    source: str
    owner: bytes | None = None


def verify(test: SelfTest, board: str) -> Shown:
    """What a self-test shows of a board of that name.

    Raises:
        Dead: the announce is none, another board's, or not signed by its key.
    """
    try:
        device, payload, signature, digest = wire.open_sign1(test.announce, wire.ANNOUNCE_MAX_BYTES)
        name, _, version, _, _, public_key, source = wire.decode_announce(payload)
    except WireError as error:
        raise Dead(f"announce: {error}; do not use this board") from error
    if name != board:
        raise Dead(f"announce: got a {name}, wanted a {board}: bring it the agent anew by `tinyren flash PORT`")
    if curve.recover(signature, digest, device) != public_key:
        raise Dead("announce: got one that its key did not sign; do not use this board")
    return Shown(device, version, source, test.owner)


def verify_sensors(test: SelfTest, shown: Shown, wanted: str) -> None:
    """Whether the drivers that settings name gave values.

    Args:
        wanted: the setting `sensors`, "" for none.
    Raises:
        Dead: one of them did not; what the board said of it.
    """
    drivers = "+".join(driver.partition(":")[0] for driver in wanted.split("+"))
    if wanted and (shown.source != drivers or not test.values):
        why = test.said[-1] if test.said else f"got {'samples' if test.values else 'no values'} of {shown.source}"
        raise Dead(f"sensors: wanted {wanted}, but {why}; see how they are wired to the board's I2C pins")
