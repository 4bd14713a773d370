"""Devices of this computer that a site, while it does not run, is to know as bound: each has a store and its own deed.

Keys are of small numbers; one owner has all the deeds.
"""

import contextlib

from coincurve import PrivateKey

from device.agent import eip712
from device.agent.port import FileMemory
from device.agent.store import Store
from gateway import curve, keys
from gateway.chain import chain
from gateway.oracle.epoch import sign_digest
from gateway.settlement.settlement import Contracts, Settlement
from gateway.site import site_file

BOARD = "cpython"
FOREVER = 1 << 40
OWNER, *DEVICES = (PrivateKey.from_int(number) for number in (9, 10, 11, 12))
IDS = [curve.address_of(key.secret) for key in DEVICES]


def bind(folder, stores):
    """Mint a deed for a device of DEVICES per store, and bind it; make the stores, which are files. The last deed."""
    site = site_file.read(folder)
    with contextlib.closing(chain.open_embedded(folder / "chain.sqlite")) as opened:
        settlement = Settlement(opened, Contracts(**site.contracts), keys.load(folder / "keys" / "deployer.key"))
        contract = bytes.fromhex(site.contracts["devices"][2:])
        pairs = list(zip(DEVICES, stores, strict=False))
        for deed, (key, store) in enumerate(pairs, len(settlement.bindings()) + 1):
            memory = FileMemory(store)
            Store(memory).open(lambda secret=key.secret: secret)
            memory.close()
            fields = (deed, curve.address_of(key.secret), curve.address_of(OWNER.secret), BOARD, 0, FOREVER)
            digest = eip712.binding_digest(curve.keccak, opened.chain_id, contract, *fields)
            both = [sign_digest(digest, signer) for signer in (OWNER, key)]
            settlement.mint_deed(deed, chain.address_of(OWNER), 1)
            settlement.bind(deed, chain.address_of(key), BOARD, FOREVER, *both)
    return deed
