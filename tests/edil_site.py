"""A gateway's real EDIL service behind real HTTP, with the devices of a scene as its senders; the disk is real too."""

import contextlib

from device.agent import rounds
from gateway import curve
from gateway.aggregation import messages
from gateway.aggregation.rounds_store import RoundsStore
from gateway.aggregation.service import Aggregation
from gateway.intake.registry import Device
from tests.edil_scene import CHAIN_ID, CONTRACT, GATEWAY, NOW_MS
from tests.edil_web import serve_edil


class Gateway:
    """aggregation, told (messages to devices), url. The clock is the scene's unless `clock` is given."""

    def __init__(self, folder, devices, key=GATEWAY, clock=lambda: NOW_MS):
        self.told = []
        self._store = RoundsStore(folder / "edil.sqlite")
        known = {device.id: _registered(device) for device in devices}
        owners = {device.id: curve.address_of(device.owner.secret) for device in devices}
        self.aggregation = Aggregation(
            self._store,
            key,
            (CHAIN_ID, CONTRACT),
            known,
            lambda: owners,
            lambda *message: self.told.append(message),
            clock,
        )

    def send(self, contribution, received_ms=NOW_MS):
        """A device's header and parts, as they come from the broker."""
        update, data = messages.open_update(contribution.frame), contribution.ciphertext
        topic = f"tinyren/{update.device.hex()}"
        steps = range(0, len(data), rounds.PART_BYTES)
        parts = [rounds.encode_part(update.digest, at, data[at : at + rounds.PART_BYTES]) for at in steps]
        items = [(f"{topic}/update", update.frame), *((f"{topic}/part", part) for part in parts)]
        self.aggregation.take([(*item, received_ms) for item in items])


def _registered(device):
    return Device(device.id, device.secret.public_key.format(), "board", "core", "1", bytes(36), "test", 1)


@contextlib.contextmanager
def serve_gateway(folder, devices, **options):
    """A Gateway with its url."""
    folder.mkdir(parents=True, exist_ok=True)
    gateway = Gateway(folder, devices, **options)
    with serve_edil(gateway.aggregation) as gateway.url:
        yield gateway
    gateway._store.close()
