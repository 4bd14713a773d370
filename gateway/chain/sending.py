"""Gets a transaction into a block: signs it, sends it, and pays more while it is stuck; never decides what is sent.

Rules:
1. A transaction takes the lowest nonce that is in no block and that no other thread of this process waits for. What an
   earlier process left there is displaced: everything that tinyren sends asks the chain first whether it is done, so
   whoever wants it done sends it again. A key therefore belongs to one process at a time.
2. While it is in no block it is sent again every STUCK_S under the same nonce, for BUMP_PERCENT more, up to MOST_TIMES
   the price of gas at that moment. So at most one of its versions is ever mined.
3. After WITHIN_S it is given up, and may still be mined later. If its nonce went to another transaction, it never is.

Source: EIP-1559; nodes take a replacement that pays at least 10 % more of both fees (geth's txpool.pricebump).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.chain import jsonrpc
from gateway.chain.jsonrpc import RpcError

WITHIN_S, STUCK_S, POLL_S = 120.0, 30.0, 0.2
BUMP_PERCENT, MOST_TIMES = 25, 10


@dataclass(frozen=True)
class Fees:
    """Wei a unit of gas: the most that is paid, and of that the most for who makes the block."""

    most: int
    tip: int

    def bumped(self) -> "Fees":
        """BUMP_PERCENT more of both, rounded up."""
        most, tip = (value + value * BUMP_PERCENT // 100 + 1 for value in (self.most, self.tip))
        return Fees(most, tip)

    def at_least(self, other: "Fees") -> "Fees":
        """The larger of both, each."""
        return Fees(max(self.most, other.most), max(self.tip, other.tip))


def fees_at(price_wei: int, tip_wei: int) -> Fees:
    """What is offered first: the price of gas may double before it is too little."""
    return Fees(2 * price_wei, min(price_wei, tip_wei))


class Sender:
    """Sends for any number of threads and keys over `request`, which raises RpcError; `lock` is the chain's."""

    def __init__(self, request: Callable[[str, list[Any]], Any], chain_id: int, lock: threading.RLock) -> None:
        self._request, self._chain_id, self._lock = request, chain_id, lock
        self._waiting: set[tuple[str, int]] = set()

    def send(self, message: dict[str, str], account: Any) -> tuple[str, dict[str, Any]]:
        """Send {"to" unless it creates, "data", "value"}; (hash, receipt) of the version in a block, however it ended.

        Raises:
            RpcError: it would revert, is refused, is in no block after WITHIN_S, or its nonce went to another.
        """
        with self._lock:
            # On the newest block, for what waits in the pool may be what this displaces.
            gas = self._number("eth_estimateGas", {**message, "from": account.address}, "latest")
            nonce = self._nonce(account.address)
            fields = {"value": "0x0", **message, "gas": gas, "nonce": nonce, "chainId": self._chain_id}
            tx, fees = self._offer(fields, account, self._fees())
            self._waiting.add((account.address, nonce))
        try:
            return self._wait(fields, account, [tx], fees)
        finally:
            with self._lock:
                self._waiting.discard((account.address, nonce))

    def _wait(self, fields: dict[str, Any], account: Any, sent: list[str], fees: Fees) -> tuple[str, dict[str, Any]]:
        start_s = time.monotonic()
        again_s = start_s + STUCK_S
        while True:
            if found := self._mined(sent):
                return found
            now_s = time.monotonic()
            if now_s > start_s + WITHIN_S:
                raise RpcError(jsonrpc.REFUSED, f"{sent[-1]} is in no block after {WITHIN_S:.0f} s")
            if now_s >= again_s:
                again_s = now_s + STUCK_S
                fees = self._push(fields, account, sent, fees)
            time.sleep(POLL_S)

    def _push(self, fields: dict[str, Any], account: Any, sent: list[str], fees: Fees) -> Fees:
        """Send a stuck transaction again for more, and the fees that were offered."""
        if self._count(account.address) > fields["nonce"]:
            if self._mined(sent):
                return fees
            raise RpcError(jsonrpc.REFUSED, f"{sent[-1]}: nonce {fields['nonce']} went to another transaction")
        now = self._fees()
        wanted = fees.bumped().at_least(now)
        if wanted.most > MOST_TIMES * now.most:
            return fees
        try:
            tx, wanted = self._offer(fields, account, wanted)
            sent.append(tx)
        except RpcError:
            return fees  # mined meanwhile, or refused as the first was not: the next look tells
        return wanted

    def _offer(self, fields: dict[str, Any], account: Any, fees: Fees) -> tuple[str, Fees]:
        """Send, for more if what stands at this nonce pays as much; the hash and what is offered."""
        limit = MOST_TIMES * fees.most
        while True:
            paid = {"maxFeePerGas": fees.most, "maxPriorityFeePerGas": min(fees.tip, fees.most)}
            signed = account.sign_transaction({**fields, **paid})
            try:
                sent = self._request("eth_sendRawTransaction", ["0x" + signed.raw_transaction.hex()])
                return "0x" + jsonrpc.hash32(sent).hex(), fees
            except RpcError as error:
                if "already known" in str(error).lower():
                    return "0x" + signed.hash.hex().removeprefix("0x"), fees
                if "underpriced" not in str(error).lower() or fees.bumped().most > limit:
                    raise
            fees = fees.bumped()

    def _mined(self, sent: list[str]) -> tuple[str, dict[str, Any]] | None:
        for tx in reversed(sent):
            found = self._request("eth_getTransactionReceipt", [tx])
            if isinstance(found, dict) and found.get("blockNumber"):
                return tx, found
        return None

    def _nonce(self, address: str) -> int:
        nonce = self._count(address)
        while (address, nonce) in self._waiting:
            nonce += 1
        return nonce

    def _count(self, address: str) -> int:
        return self._number("eth_getTransactionCount", address, "latest")

    def _fees(self) -> Fees:
        return fees_at(self._number("eth_gasPrice"), self._number("eth_maxPriorityFeePerGas"))

    def _number(self, method: str, *params: Any) -> int:
        answer = self._request(method, list(params))
        try:
            return int(answer, 16)
        except (TypeError, ValueError):
            raise RpcError(jsonrpc.REFUSED, f"{method}: the node answered no number") from None
