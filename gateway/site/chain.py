"""The chain of a site: opened or connected to, the contracts on it; refuses to keep the payer's key."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from coincurve import PrivateKey

from gateway import keys
from gateway.chain import chain as chains
from gateway.chain.chain import Chain, Contract
from gateway.settlement import council, settlement
from gateway.settlement.settlement import Settlement
from gateway.site import site_file
from gateway.site.site_file import Site

ORACLES = 3
OWNERS = 2


class SiteChain(NamedTuple):
    """What a site settles on; `key` is the gateway's."""

    key: PrivateKey
    chain: Chain
    settlement: Settlement


def owners(folder: Path) -> list[PrivateKey]:
    """The keys of the deeds' owners, made where they are not."""
    return [keys.load_or_make(folder / "keys" / f"owner-{number}.key") for number in range(1, OWNERS + 1)]


def open_chain(folder: Path, site: Site, payer: PrivateKey | None, ends: ExitStack) -> SiteChain:
    """The site's chain, its contracts deployed where they are not; fills in who gateway and oracles are.

    A settlement is made for the council of keys/council.key, which is founded at once on the embedded chain, and by
    `tinyren vote found` elsewhere.

    Args:
        payer: pays for gas; None: a key of the site's own, which has coin on the embedded chain, as owners have.
        ends: closes the chain.
    Raises:
        ChainError, CommandError
    """
    key = keys.load_or_make(folder / "keys" / "gateway.key")
    oracles = [keys.load_or_make(folder / "keys" / f"oracle-{number}.key") for number in range(1, ORACLES + 1)]
    payer = payer or keys.load_or_make(folder / "keys" / "deployer.key")
    site.gateway = chains.address_of(key)
    site.oracles = [chains.address_of(oracle) for oracle in oracles]
    if site.chain_external:
        chain = chains.connect(site.chain_rpc)
    else:
        funded = tuple(chains.address_of(item) for item in (payer, *owners(folder)))
        chain = chains.open_embedded(folder / "chain.sqlite", funded)
    ends.callback(chain.close)

    def save(name: str, address: str) -> None:
        site.contracts[name] = address
        site_file.write(folder, site)

    founder = keys.load_or_make(council.council_key(folder))
    governor = council.timelock_by(founder)
    made = settlement.deploy(chain, payer, site.oracles, site.threshold, dict(site.contracts), save, governor=governor)
    governs = chain.call(Contract("Settlement", made.settlement), "governor") == governor
    if governs and not site.chain_external:
        council.found(chain, payer, founder, made.settlement, council.SITE)
    return SiteChain(key, chain, Settlement(chain, made, payer))
