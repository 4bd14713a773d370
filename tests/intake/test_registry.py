"""Who gets into the registry: signed announces of the key's owner, a bounded number of them, on a disk with space."""

import dataclasses

import pytest

from gateway.intake.registry import MAX_DEVICES, Device, Registry, RegistryFull
from tests.ingest_site import MODEL, A, B, Site, state


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.send((A.topic("announce"), A.announce()))
    return made


NO_POINT = b"\x02" + b"\xff" * 32
ANNOUNCES = {
    "another key": ("wrong_device", lambda: B.topic("announce"), lambda: B.announce(public_key=A.public_key)),
    "another id": ("wrong_device", lambda: A.topic("announce"), lambda: B.announce()),
    "no point of the curve": ("malformed", lambda: B.topic("announce"), lambda: B.announce(public_key=NO_POINT)),
    "changed": ("bad_signature", lambda: B.topic("announce"), lambda: B.announce()[:-1] + b"\x00"),
    "an earlier boot": ("replay", lambda: A.topic("announce"), lambda: A.announce(boot=1, board="older")),
    "too large": ("too_large", lambda: B.topic("announce"), lambda: bytes(400)),
}


@pytest.mark.parametrize("case", ANNOUNCES)
def test_a_bad_announce_enrolls_nobody(site, case):
    reason, topic, make = ANNOUNCES[case]
    site.send((A.topic("announce"), A.announce(boot=2)))
    before = state(site)
    site.send((topic(), make()))
    assert site.registry.rejected == {reason: 1}
    assert state(site) == before


def test_a_device_is_enrolled_once_and_its_next_boot_updates_it(site):
    site.send((A.topic("announce"), A.announce()), (A.topic("announce"), A.announce(boot=2, board="other")))
    device = Device(A.id, A.public_key, "other", "armv7m", "0.1", MODEL, "tmp105", 2)
    assert site.registry.devices == {A.id: device}
    site.kill()
    assert Registry(site.folder / "state.sqlite").devices == {A.id: device}


def test_strangers_cannot_fill_the_registry(site):
    known = next(iter(site.registry.devices.values()))
    site.registry.devices.update({number.to_bytes(20, "big"): known for number in range(MAX_DEVICES - 1)})
    before = state(site)
    site.send((B.topic("announce"), B.announce()))
    assert site.registry.rejected == {"too_many_devices": 1}
    assert state(site) == before
    site.send((A.topic("announce"), A.announce(boot=2)))
    assert site.registry.devices[A.id].boot == 2


def test_a_registry_without_space_enrolls_nobody_and_nothing_is_stored(site):
    site.registry._database.execute("PRAGMA max_page_count = 1")
    known = site.registry.devices[A.id]
    with pytest.raises(RegistryFull, match="no space left"):
        for number in range(1000):
            site.registry.enroll([dataclasses.replace(known, id=number.to_bytes(20, "big"))])
    before = state(site)
    messages = (B.topic("announce"), B.announce()), (B.topic("heartbeat"), B.heartbeat(site.beacon))
    site.send(*messages)
    assert site.registry.rejected == {"no_space": 2}
    assert state(site) == before
    site.registry._database.execute("PRAGMA max_page_count = 1000")
    site.send(*messages)
    assert site.stored() == [B.heartbeat(site.beacon)]
