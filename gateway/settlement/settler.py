"""Takes closed epochs to the chain, in order: asks the oracles, posts what enough of them signed, has the owners paid.

    closed epoch ─▶ own verdict ─▶ close message ─▶ oracles' signatures ─▶ root on chain ─▶ ledger ─▶ claims

Rules:
1. The chain says how far the site is settled; a crash is resumed from there, and nothing is posted or paid twice.
2. Oracles decide. The gateway computes the same verdict, because claims need its leaves; if they signed another root
   than its own it stops settling and says so.
3. What cannot be done now (no quorum yet, chain away) is tried again every RETRY_S; an epoch is never passed over.
4. Every LOOK_S the chain is asked whether it still has the last root. What a reorg took is posted again with the
   signatures that were kept (signed_roots.py), and its claims are paid again if they are gone too.
5. Owners are paid by the root in force, where it is worth its gas (sponsoring.py); a refused claim holds up nothing.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from gateway.chain.chain import ChainError
from gateway.intake import evidence
from gateway.oracle import bundles, messages
from gateway.oracle import epoch as epochs
from gateway.oracle.availability import EvidenceError
from gateway.oracle.epoch import Verdict
from gateway.oracle.quorum import Quorum, Settle
from gateway.oracle.statements import Close, Decision, Message, Root, Signature
from gateway.poai import models
from gateway.ratio1 import MessageRefused
from gateway.settlement import agreed, ledger, signed_roots
from gateway.settlement.agreed import Agreeing
from gateway.settlement.ledger import Settled
from gateway.settlement.paying import pay
from gateway.settlement.read import SettlementChain
from gateway.settlement.settlement import Claim, PostedRoot, Settlement
from gateway.settlement.tree import Leaves, root_of
from gateway.storage.errors import StoreError

RETRY_S = 2.0
LOOK_S = 10.0
MAX_WAITING = 256


class Disagreement(Exception):
    """The oracles settled an epoch otherwise than this gateway's evidence says; ends with what to do next."""


class Settler:
    """One thread's work; `closed`, `commit` and `receive` may be called from any.

    Args:
        folder: the site's. oracles: addresses of 20 bytes. key: the gateway's, signs close messages.
        publish: (topic, payload). say: tells a person.
        on_settled: told each epoch that is settled, and the claims that were paid after it.
        add: keeps a bundle in R1FS, its CID, for oracles elsewhere; None: they read the folder of the site.
        get: a further gateway's bundle by its CID, both in pieces; None: the site has no further gateway.
        r1_wei: what one R1 is worth in wei of the chain's coin; 0: gas is not looked at.
    """

    def __init__(
        self,
        folder: Path,
        settlement: Settlement,
        oracles: list[bytes],
        threshold: int,
        key: PrivateKey,
        publish: Callable[[str, bytes], None],
        say: Callable[[str], None],
        on_settled: Callable[[Settled, list[Claim]], None],
        add: Callable[[Iterable[bytes]], str] | None = None,
        get: Callable[[str], Iterable[bytes]] | None = None,
        r1_wei: int = 0,
    ) -> None:
        self.folder, self.settlement, self._r1_wei = folder, settlement, r1_wei
        self.failure: Exception | None = None
        self._oracles, self._threshold, self._key = oracles, threshold, key
        self._publish, self._say, self._on_settled, self._add = publish, say, on_settled, add
        contract = bytes.fromhex(settlement.contracts.settlement[2:])
        self._place = messages.Site(settlement.chain.chain_id, contract)
        self._ledger = folder / "settlement"
        self._closed = evidence.last_closed(folder / "evidence")
        self._agreeing = Agreeing(folder / "evidence", oracles, self._place, get) if get else None
        self._wanted = [b'"type":"signature"', *([b'"type":"decision"'] if get else [])]
        self._inbox: queue.Queue[bytes] = queue.Queue(MAX_WAITING)
        self._stopping = threading.Event()
        self._last: Settled | None = None
        self._told_epoch, self._look_s = 0, 0.0
        self._said = ""

    def closed(self, epoch: int) -> None:
        """An epoch was closed; it is in the evidence."""
        self._closed = epoch
        self._take(b"")

    def state(self, message: Message) -> None:
        """State to the oracles what the evidence is, and to further gateways what was opened."""
        said = messages.seal(message, self._place, self._key.secret)
        self._publish(messages.topic_of(message), said.payload)

    def receive(self, payload: bytes) -> None:
        """A message on the oracles' topics; dropped when too many wait already, for it will be sent again.

        What oracles say to each other before they sign is none of the gateway's business, and not looked at.
        """
        if any(kind in payload for kind in self._wanted):
            self._take(payload)

    def stop(self) -> None:
        """Ask `run` to return."""
        self._stopping.set()
        self._take(b"")

    def _take(self, payload: bytes) -> None:
        """Never waits: who hears the devices may call it, and a full inbox wakes `run` by itself."""
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(payload)

    def run(self) -> None:
        """Settle until `stop`; `failure` says why it ended otherwise."""
        try:
            self._run()
        except Exception as error:
            self.failure = error

    def _run(self) -> None:
        while not self._stopping.is_set():
            number = 0
            try:
                self._look()
                number = self._last.epoch + 1 if self._last else 1
                if number > self._closed:
                    self._next_message()
                    continue
                self._last = self._settle(number, self._last) or self._last
            except (ChainError, StoreError) as error:
                self._look_s = 0.0
                self._tell(f"epoch {number}: {error}; trying again" if number else f"chain: {error}; trying again")
                self._stopping.wait(RETRY_S)

    def _look(self) -> None:
        """Go back to the newest epoch that the chain has, if it lost one that was settled."""
        if self._last is None or time.monotonic() < self._look_s:
            return
        if (settled := self.settlement.epoch()) < self._last.epoch:
            self._tell(f"the chain has lost epochs {settled + 1} to {self._last.epoch}; they are settled again")
            self.catch_up()
        self._look_s = time.monotonic() + LOOK_S

    def catch_up(self) -> None:
        """Complete the ledger up to the last epoch that the chain has settled, and have its claims paid; before `run`.

        Raises:
            Disagreement: the evidence is damaged, or does not give the root that the chain has.
        """
        settled = self.settlement.epoch()
        if settled > self._closed:
            what = f"the chain has settled epoch {settled}, but the evidence ends with {self._closed}"
            next_ = f"copy the files of the epochs after it into {self.folder / 'evidence'}, or restore a newer backup"
            raise Disagreement(f"{what}; is this an older backup? {next_}")
        posted = {item.epoch: item for item in self.settlement.roots()} if settled else {}
        known = settled
        while known and self._kept(posted[known]) is None:
            known -= 1
        last = self._kept(posted[known]) if known else None
        for number in range(known + 1, settled + 1):
            last = self._write(self._judge(number, last, posted[number].evidence), posted[number])
        if last is not None:
            self._pay()
        self._last = last

    def _kept(self, posted: PostedRoot) -> Settled | None:
        """The ledger's copy of an epoch, if it is the chain's."""
        kept = ledger.read(self._ledger, posted.epoch)
        return kept if kept and kept.root == posted.root == root_of(kept.leaves) else None

    def _settle(self, number: int, previous: Settled | None) -> Settled | None:
        """Settle one closed epoch; None: asked to stop before there was a quorum."""
        verdict = self._judge(number, previous)
        quorum = self._collect(verdict)
        if quorum is None:
            return None
        if self._agreeing and quorum.root.evidence != verdict.evidence:
            verdict = self._judge(number, previous, quorum.root.evidence)
        root = verdict.attested()
        if quorum.root != root:
            theirs, ours = quorum.root.root.hex(), root.root.hex()
            what = f"epoch {number}: the oracles signed root 0x{theirs}, ours is 0x{ours}; nothing was posted"
            next_ = f"wanted one version of tinyren everywhere, and epoch-{number}.* in its evidence as it was closed"
            raise Disagreement(f"{what}; {next_}: `tinyren gateway doctor` checks the files")
        signed_roots.write(self._ledger, quorum)
        signatures: dict[str, bytes] = {
            to_checksum_address(oracle): signature for oracle, signature in quorum.signatures
        }
        posted = self.settlement.post_root(number, root.root, root.total, root.evidence, signatures)
        settled = self._write(verdict, posted)
        claims = self._pay()
        if number > self._told_epoch:
            self._told_epoch = number
            self._on_settled(settled, claims)
        return settled

    def _judge(self, number: int, previous: Settled | None, attested: bytes | None = None) -> Verdict:
        """The verdict on the evidence that the root names, or that is known to be agreed on."""
        folder = self.folder / "evidence"
        attested = attested or agreed.attested(folder, number)
        leaves, chain = previous.leaves if previous else Leaves(), SettlementChain(self.settlement)
        try:
            sources = agreed.sources(folder, number, attested)
            return epochs.verdict_of(sources, number, attested, chain, leaves, models.shipped)
        except (EvidenceError, evidence.EvidenceDamaged, FileNotFoundError) as error:
            next_ = f"`tinyren verify {self.folder} --epoch {number}` says what differs; a backup may have it whole"
            raise Disagreement(f"epoch {number} cannot be judged: {error}; {next_}") from error

    def _collect(self, verdict: Verdict) -> Settle | None:
        """Ask the oracles until enough have signed one root for this epoch; None: asked to stop."""
        kept = Quorum(self._oracles, self._threshold, self._signer_of)
        for oracle, signed in signed_roots.read(self._ledger, verdict.attested()):
            if isinstance(found := kept.receive(oracle, signed), Settle):
                return found
        folder = self.folder / "evidence"
        own = evidence.digest(folder, verdict.epoch)
        close = Close(verdict.epoch, own, epochs.read_windows(folder, verdict.epoch).block)
        if self._add:
            word = messages.seal(close, self._place, self._key.secret)
            close = replace(close, cid=self._add(bundles.pack(folder, verdict.epoch, word)))
        quorum = Quorum(self._oracles, self._threshold, self._signer_of)
        outcome: Settle | None = None
        while not self._stopping.is_set():
            self.state(close)
            outcome = self._listen(verdict.epoch, quorum, outcome)
            if outcome and (not self._agreeing or self._agreeing.is_here(verdict.epoch, outcome.root.evidence)):
                return outcome
        return None

    def _listen(self, number: int, quorum: Quorum, before: Settle | None) -> Settle | None:
        """Take messages for RETRY_S, or until quorum (`before`: it was there) and agreed evidence are known."""
        end_s = time.monotonic() + RETRY_S
        while time.monotonic() < end_s and (payload := self._next_message()):
            try:
                said = messages.open_sealed(payload, self._place)
            except MessageRefused as error:
                self._tell(f"refused an oracle's message: {error}")
                continue
            if self._agreeing and isinstance(said.message, Decision):
                self._agreeing.take(number, said.message)
                if before:
                    return before
            if not isinstance(said.message, Signature) or said.message.root.epoch != number:
                continue
            outcome = quorum.receive(said.sender, said.message)
            if isinstance(outcome, Settle):
                return outcome
            if outcome not in ("", "known signature"):
                self._tell(f"rejected from oracle 0x{said.sender.hex()}: {outcome}")
        return before

    def _write(self, verdict: Verdict, posted: PostedRoot) -> Settled:
        if posted.root != verdict.root or posted.evidence != verdict.evidence:
            what = f"epoch {posted.epoch}: the chain has another root than the evidence gives"
            next_ = f"`tinyren verify {self.folder} --epoch {posted.epoch}` says what differs"
            raise Disagreement(f"{what}; {next_}; bring epoch-{posted.epoch}.* back from a backup")
        windows = epochs.read_windows(self.folder / "evidence", verdict.epoch).count
        signers = self._signers(verdict, posted.tx)
        settled = Settled(**vars(verdict), windows=windows, tx=posted.tx, signers=signers)
        ledger.write(self._ledger, settled)
        return settled

    def _signers(self, verdict: Verdict, tx: str) -> tuple[str, ...]:
        """Who signed the root, from the transaction that posted it."""
        signatures = signed_roots.of_post(self.settlement.chain, tx)
        signers = (self._signer_of(verdict.attested(), signature) for signature in signatures)
        return tuple(to_checksum_address(signer) for signer in signers if signer)

    def _pay(self) -> list[Claim]:
        return pay(self.folder, self.settlement, self._r1_wei, self._tell)

    def _next_message(self) -> bytes:
        """The next message; empty after RETRY_S without one, or when there is something else to look at."""
        try:
            return self._inbox.get(timeout=RETRY_S)
        except queue.Empty:
            return b""

    def _digest(self, root: Root) -> bytes:
        return epochs.root_digest(root, self._place.chain_id, self._place.settlement)

    def _signer_of(self, root: Root, signature: bytes) -> bytes | None:
        return epochs.signer_of(self._digest(root), signature)

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)
