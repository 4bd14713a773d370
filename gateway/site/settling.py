"""Puts the settler into a running site, and says what an epoch came to; decides nothing."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from gateway.settlement.ledger import Settled
from gateway.settlement.settlement import Claim, Settlement
from gateway.settlement.settler import Settler
from gateway.site.site_file import Site
from gateway.site.stores import Stores
from gateway.web.view import r1, short


def make_settler(
    folder: Path,
    site: Site,
    settlement: Settlement,
    key: PrivateKey,
    stores: Stores,
    publish: Callable[[str, bytes], None],
    notice: Callable[[str], None],
    on_settled: Callable[[Settled, list[Claim]], None],
    r1_wei: int,
) -> Settler:
    """The settler, its ledger complete. Raises Disagreement, as its catch_up."""
    oracles = [bytes.fromhex(oracle[2:]) for oracle in site.oracles]
    tellers = publish, notice, on_settled
    settler = Settler(folder, settlement, oracles, site.threshold, key, *tellers, get=stores.bundle, r1_wei=r1_wei)
    settler.catch_up()
    return settler


def tell(settled: Settled, claims: Iterable[Claim]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a settled epoch came to: (line for a person, its event, what a program reads), one after the other."""
    minted, root = settled.minted, settled.root.hex()
    text = f"epoch {settled.epoch} is settled: {r1(minted)} R1 by root 0x{root[:16]}…"
    yield text, "epoch_settled", {"epoch": settled.epoch, "minted_wei": str(minted), "root": f"0x{root}"}
    for device in settled.frauds:
        who = to_checksum_address(device)
        text = f"FRAUD {who} signed what is not so, its deed earned nothing: tinyren work --epoch {settled.epoch}"
        yield text, "fraud", {"device": who, "epoch": settled.epoch}
    for claim in claims:
        fields = {"deed": claim.deed, "job": claim.job, "amount_wei": str(claim.amount_wei), "owner": claim.owner}
        yield f"{claim.what}: {r1(claim.amount_wei)} R1 paid to {short(claim.owner)}", "claim_paid", fields
