"""Checks of the chain on which a gateway settles: it answers, is the right one, has our coins, is not ahead of us."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from gateway.chain.chain import Chain, ChainError, address_of, connect
from gateway.edge.checks import FAIL, OK, WARN, Finding, Gateway
from gateway.intake import evidence
from gateway.keys import load
from gateway.settlement.settlement import Contracts, Settlement
from gateway.site.site_file import Site

LEAST_WEI = 10**16  # some hundred roots at 10^9 wei a gas
CLOCK_S = 300


def chain(gateway: Gateway) -> Iterator[Finding]:
    """All of them, if there is a chain to ask now."""
    site = gateway.site
    if site is None or not (site.chain_external or gateway.running):
        yield Finding(OK, "the embedded chain answers when the gateway runs")
        return
    mend = "set chain.rpc to a node that answers"
    try:
        link = connect(gateway.values["chain.rpc"] or site.chain_rpc)
    except (ChainError, OSError, ValueError):
        yield Finding(FAIL, "the chain does not answer: no window can be opened, nothing is paid", mend)
        return
    try:
        for check in (_clock, _contracts, _gas):
            yield from check(gateway, site, link)
    except (ChainError, KeyError, TypeError, ValueError, OSError) as error:
        yield Finding(FAIL, f"the chain's answer is not usable: {type(error).__name__}", mend)
    finally:
        link.close()


def _clock(gateway: Gateway, site: Site, link: Chain) -> Iterator[Finding]:
    block = link.request("eth_getBlockByNumber", ["latest", False])
    yield Finding(OK, f"chain {link.chain_id} answers, block {int(block['number'], 16)}")
    apart_s = gateway.now_s - int(block["timestamp"], 16)
    if site.chain_external and abs(apart_s) > CLOCK_S:
        what = f"the clock and the chain's newest block are {abs(apart_s):,.0f} s apart"
        yield Finding(WARN, what, "timedatectl set-ntp true; if the clock is right, the chain stands still")


def _contracts(gateway: Gateway, site: Site, link: Chain) -> Iterator[Finding]:
    """They are there, and have settled no epoch of which this gateway has no evidence."""
    contracts = site.contracts.items()
    bare = [name for name, at in contracts if link.request("eth_getCode", [at, "latest"]) in ("", "0x")]
    if bare:
        what = f"no code of {', '.join(bare)} on chain {link.chain_id}: it is another chain, or was begun anew"
        yield Finding(FAIL, what, "set chain.rpc to the chain that this gateway was made on")
    elif "settlement" in site.contracts:
        addresses = {one.name: site.contracts.get(one.name, "") for one in fields(Contracts)}
        settled = Settlement(link, Contracts(**addresses)).epoch()
        folder = gateway.folder / "evidence"
        last = evidence.last_epoch(folder) if folder.is_dir() else 0
        if settled > last:
            what = f"the chain has settled epoch {settled}, the evidence ends with {last}: this backup is older"
            mend = f"copy epoch-{last + 1} to epoch-{settled} of the lost gateway, or of who keeps them, into {folder}"
            yield Finding(FAIL, what, mend)


def _gas(gateway: Gateway, site: Site, link: Chain) -> Iterator[Finding]:
    payer = address_of(load(Path(gateway.values["chain.key_file"] or gateway.folder / "keys" / "deployer.key")))
    balance = int(link.request("eth_getBalance", [payer, "latest"]), 16)
    if balance < LEAST_WEI:
        what = f"{payer} has {balance / 1e18:.6f} coins left for gas"
        yield Finding(WARN, what, "send it some, or epochs are settled later")
