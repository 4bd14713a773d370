"""A device's identity: its addresses, its key's origin, and that nothing shows the key."""

import pytest
from eth_hash.auto import keccak

from device.agent import identity
from device.agent.errors import LocalError
from tests.agent_bench import SECRET, Bench, VirtualPort


def test_the_addresses_of_a_known_key():
    me = identity.Identity((1).to_bytes(32, "big"), VirtualPort())

    assert identity.eip55(me.id, keccak) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
    assert me.address == "0xai_Anm-Zn753LusVaBilc6HCwcCm_zbLc4o2VnygVsW-BeY"


def test_a_draw_that_is_no_key_is_drawn_again_and_a_broken_source_is_an_error():
    draws = [bytes(32), b"\xff" * 32, identity.ORDER.to_bytes(32, "big"), (identity.ORDER - 1).to_bytes(32, "big")]

    def entropy(buffer):
        buffer[:] = draws.pop(0)

    assert int.from_bytes(identity.new_secret(entropy), "big") == identity.ORDER - 1
    with pytest.raises(LocalError):
        identity.new_secret(lambda buffer: None)


def test_no_repr_and_no_attribute_shows_the_secret():
    bench = Bench()
    shown = repr(bench.agent) + repr(bench.agent.identity) + repr(vars(bench.agent.identity)) + repr(bench.agent._store)

    for form in (SECRET.hex(), repr(SECRET)[2:-1], str(int.from_bytes(SECRET, "big"))):
        assert form not in shown
