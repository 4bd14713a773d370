"""Which devices count, by a real chain: bound now, to a deed of the owner who signed their enrolment."""

import pytest

from device.agent import eip712
from gateway import curve
from gateway.chain import chain as chains
from gateway.edil import counting, shares
from gateway.edil.shares import SetRefused
from gateway.oracle import epoch
from gateway.oracle.rpc import ChainAway
from gateway.settlement import settlement
from tests.chain_node import Node
from tests.edil_scene import HOLDER, OWNER, Scene, make_device, make_key
from tests.oracle_site import GATEWAY

DEADLINE_S = 1 << 40
DEVICES = [make_device(number) for number in range(3)]
STRANGE = make_device(9, owner=make_key("another owner"))


class Site:
    """An embedded chain behind JSON-RPC, on which the first three devices are bound to deed 1 of OWNER."""

    def __init__(self, folder):
        self.chain = chains.open_embedded(folder / "chain.sqlite", (chains.address_of(GATEWAY),))
        self.rpc = Node(self.chain)
        made = settlement.deploy(self.chain, GATEWAY, [chains.address_of(GATEWAY)], 1, {}, lambda *_: None)
        self.contracts = settlement.Settlement(self.chain, made, GATEWAY)
        self.devices = bytes.fromhex(made.devices[2:])
        self.contracts.mint_deed(1, chains.address_of(OWNER), 4)
        for device in DEVICES:
            self.bind(device)

    def bind(self, device):
        """Bind a device to deed 1: OWNER's signature and its own, whoever enrolled it."""
        fields = 1, device.id, curve.address_of(OWNER.secret), "board", 0, DEADLINE_S
        digest = eip712.binding_digest(curve.keccak, self.chain.chain_id, self.devices, *fields)
        both = [epoch.sign_digest(digest, signer) for signer in (OWNER, device.secret)]
        self.contracts.bind(1, chains.address_of(device.secret), "board", DEADLINE_S, *both)

    def check(self, devices):
        closed = Scene(devices=devices).close()
        counted = counting.follow_chain(self.rpc.url, self.devices)()
        return shares.check_set(closed.manifest, closed.closed_set, HOLDER.public_key.format(), counted, 2)

    def stop(self):
        self.rpc.stop()
        self.chain.close()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.stop()


def test_devices_bound_to_a_deed_of_their_enrolments_owner_are_counted_and_no_others(site):
    assert len(site.check(DEVICES).devices) == 3
    with pytest.raises(SetRefused, match=f"0x{STRANGE.id.hex()}: is bound to no deed"):
        site.check([*DEVICES, STRANGE])
    site.bind(STRANGE)
    with pytest.raises(SetRefused, match=f"0x{STRANGE.id.hex()}: is enrolled by 0x"):
        site.check([*DEVICES, STRANGE])
    assert len(site.check(DEVICES).devices) == 3


def test_a_chain_that_is_away_counts_nobody(site):
    counted = counting.follow_chain("http://127.0.0.1:9", site.devices)
    with pytest.raises(ChainAway):
        counted()
    with pytest.raises(ChainAway):
        counting.follow_chain(site.rpc.url, bytes(20))()
