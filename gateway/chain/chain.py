"""Contracts on a chain: the embedded one or any JSON-RPC. Refuses to let a node sign: keys stay in this process.

Rules: a transaction is returned only when it is in a block and did what it should; one that reverts raises ChainError
with the contract's own error. Safe for threads: one lock around each request, and from nonce to sending. Addresses are
EIP-55 text, transaction hashes "0x..." text, amounts wei.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from gateway import curve
from gateway.chain import abi, answers, jsonrpc, recursion
from gateway.chain.answers import Event as Event
from gateway.chain.answers import Receipt as Receipt
from gateway.chain.jsonrpc import RpcError
from gateway.chain.sending import Sender

LEAST_BLOCKS = 1_000
"""So few blocks are asked for at once, if a node refuses more."""


@dataclass(frozen=True)
class Contract:
    """A deployed contract; `name` is one of contracts.NAMES."""

    name: str
    address: str


class Rehearsed(Exception):
    """What a chain that only tries would have sent: it would be done, for about `gas` units of gas."""

    def __init__(self, what: str, gas: int) -> None:
        super().__init__(f"{what} would take {gas} gas")
        self.what, self.gas = what, gas


class ChainError(Exception):
    """A chain did not do it.

    `name` and `arguments` are the contract's own error ("" and {} if there is none); `reason`, `code` and `data` are
    JSON-RPC's.
    """

    def __init__(self, message: str, code: int = jsonrpc.REFUSED, data: str | None = None) -> None:
        self.reason, self.code, self.data = message, code, data
        self.name, self.arguments = abi.decode_error(bytes.fromhex(data[2:]) if data else b"")
        told = abi.tell_error(self.name, self.arguments)
        super().__init__(message if told in message else f"{message}: {told}")  # a node of ours has told it


class Chain:
    """One chain, made by open_embedded() or connect().

    only_tries: nothing is sent; the first transaction that would be is tried on the newest block, and Rehearsed raised.
    """

    def __init__(
        self,
        request: Callable[[str, list[Any]], Any],
        mine: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
        copy: Callable[[Path], None] | None = None,
    ) -> None:
        self._request, self._mine, self._close, self._copy = request, mine, close, copy
        self.only_tries = False
        self._lock = threading.RLock()
        self.chain_id: int = self.request("eth_chainId", [], answers.number)
        self._sender = Sender(self._locked, self.chain_id, self._lock)

    def close(self) -> None:
        """Free the embedded chain's file."""
        with self._lock:
            self._close()

    def copy(self, path: Path) -> bool:
        """All blocks of the embedded chain as another file; False: this is another chain. ChainError: no space."""
        if self._copy is None:
            return False
        with self._lock:
            self._copy(path)
        return True

    def request(self, method: str, params: list[Any], read: Callable[[Any], Any] = lambda result: result) -> Any:
        """What `read` makes of the result of a JSON-RPC method, one of jsonrpc.OFFERED: none makes the node sign.

        Raises:
            ChainError: the method is not offered, or the chain answered with an error or with another form.
        """
        if method not in jsonrpc.OFFERED:
            raise ChainError(f"method {str(method)[:80]!r} is not offered", jsonrpc.UNKNOWN_METHOD)
        with self._lock:
            try:
                result = self._request(method, params)
            except RpcError as error:
                raise ChainError(str(error), error.code, error.data) from None
        return _read(method, read, result)

    def block_number(self) -> int:
        """The newest block."""
        return int(self.request("eth_blockNumber", [], answers.number))

    def block_hash(self, number: int) -> bytes:
        """32 bytes.

        Raises:
            ChainError: there is no such block yet.
        """
        found = self.request("eth_getBlockByNumber", [hex(number), False])
        if found is None:
            raise ChainError(f"block {number} is not there")
        return bytes(_read("eth_getBlockByNumber", lambda block: jsonrpc.hash32(block["hash"]), found))

    def mine(self) -> int:
        """Add an empty block whose hash nobody knew, if the chain is embedded; the number of the newest block."""
        with self._lock:
            try:
                self._mine()
            except RpcError as error:
                raise ChainError(str(error)) from None
            return self.block_number()

    def has_code(self, address: str) -> bool:
        """Whether there is a contract at `address`."""
        return bool(self.request("eth_getCode", [address, "latest"]) != "0x")

    def call(self, contract: Contract, function: str, *arguments: Any, block: int | None = None) -> Any:
        """What a view answers, on the state after `block` or now: a value, or a tuple if it answers several.

        Raises:
            ChainError: it reverts, there is no such contract, or the chain does not keep the state of that block.
        """
        message = {"to": contract.address, "data": _hex(abi.encode_call(contract.name, function, arguments))}
        what = f"{contract.name}.{function}"
        with _named(what):
            where = "latest" if block is None else hex(block)
            answer = self.request("eth_call", [message, where], answers.raw)
        try:
            return abi.decode_answer(contract.name, function, answer)
        except ValueError as error:
            raise ChainError(f"{what} at {contract.address}: {error}") from error

    def deploy(self, name: str, *arguments: Any, key: PrivateKey) -> tuple[Contract, Receipt]:
        """Create contract `name`; `key` signs and pays.

        Raises:
            ChainError: as send().
        """
        receipt = self._transact(f"deploy {name}", {"data": _hex(abi.encode_creation(name, arguments))}, key)
        return Contract(name, receipt.created), receipt

    def send(self, contract: Contract, function: str, *arguments: Any, key: PrivateKey) -> Receipt:
        """Run `function` in a transaction that `key` signs and pays.

        Raises:
            ChainError: it reverts, is refused, or is in no block for too long (sending.py: then it may still come).
        """
        body = abi.encode_call(contract.name, function, arguments)
        return self._transact(f"{contract.name}.{function}", {"to": contract.address, "data": _hex(body)}, key)

    def try_out(self, contract: Contract, function: str, *arguments: Any, key: PrivateKey) -> int:
        """About how much gas `function` would take on the newest block, by `key`; sends nothing.

        Raises:
            ChainError: it would revert.
        """
        data = _hex(abi.encode_call(contract.name, function, arguments))
        with _named(f"{contract.name}.{function}"):
            return self._gas({"to": contract.address, "data": data}, address_of(key))

    def pay(self, to: str, wei: int, key: PrivateKey) -> Receipt:
        """Send wei from `key` to an address; raises as send()."""
        return self._transact(f"pay {to}", {"to": to, "value": hex(wei)}, key)

    def events(self, contract: Contract, name: str, first: int = 0, last: int | None = None) -> list[Event]:
        """Events `name` of `contract` in blocks `first` to `last` (default: the newest), both included, in order.

        A node that refuses so many is asked for the halves, down to LEAST_BLOCKS.
        """
        wanted = {
            "address": contract.address,
            "topics": [_hex(abi.event_topic(contract.name, name))],
            "fromBlock": hex(first),
            "toBlock": "latest" if last is None else hex(last),
        }
        try:
            logs = self.request("eth_getLogs", [wanted], list)
        except ChainError as error:
            if error.code == jsonrpc.NO_ANSWER:
                raise
            newest = self.block_number() if last is None else last
            if newest - first < LEAST_BLOCKS:
                raise
            middle = (first + newest) // 2
            return self.events(contract, name, first, middle) + self.events(contract, name, middle + 1, newest)
        return [_read("eth_getLogs", lambda log: answers.event(contract.name, name, log), log) for log in logs]

    def _transact(self, what: str, message: dict[str, str], key: PrivateKey) -> Receipt:
        account = _account(key)
        with _named(what):
            if self.only_tries:
                raise Rehearsed(what, self._gas(message, account.address))
            try:
                tx, found = self._sender.send(message, account)
            except RpcError as error:
                raise ChainError(str(error), error.code, error.data) from None
            receipt: Receipt
            receipt, status = _read("eth_getTransactionReceipt", lambda fields: answers.receipt(tx, fields), found)
            if status != "0x1":
                # Run it again on the state before it: a receipt does not tell the reason.
                self.request("eth_call", [{**message, "from": account.address}, hex(receipt.block - 1)])
                raise ChainError(f"{tx} reverted")
        return receipt

    def _gas(self, message: dict[str, str], sender: str) -> int:
        return int(self.request("eth_estimateGas", [{**message, "from": sender}], answers.number))

    def _locked(self, method: str, params: list[Any]) -> Any:
        with self._lock:
            return self._request(method, params)


def open_embedded(path: Path, funded: tuple[str, ...] = ()) -> Chain:
    """The embedded chain in `path`; where there is none, a new one in which each `funded` address has 10**24 wei.

    Raises:
        ChainError: another process has it open, or it cannot be written.
    """
    from gateway.chain.embedded import EmbeddedChain
    from gateway.chain.store import StoreError

    try:
        node = EmbeddedChain(path, funded)
    except StoreError as error:
        raise ChainError(str(error)) from error

    def copy(path: Path) -> None:
        try:
            node.copy(path)
        except StoreError as error:
            raise ChainError(str(error)) from error

    return Chain(node.request, node.mine, node.close, copy)


def connect(url: str) -> Chain:
    """The chain behind the JSON-RPC at `url`, http or https.

    Raises:
        ChainError: nobody answers there.
    """
    from gateway.chain.node import Node

    return Chain(Node(url).request)


def address_of(key: PrivateKey) -> str:
    """The EIP-55 address of a private key."""
    return to_checksum_address(curve.address_of(key.secret))


def _account(key: PrivateKey) -> Any:
    """What signs transactions, imported by who signs: it takes half a second that reading does not need."""
    from eth_account import Account

    recursion.bound()
    return Account.from_key(key.secret)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Put what was tried in front of a ChainError's message."""
    try:
        yield
    except ChainError as error:
        raise ChainError(f"{what}: {error.reason}", error.code, error.data) from None


def _read(method: str, read: Callable[[Any], Any], result: Any) -> Any:
    try:
        return read(result)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RpcError) as error:
        what = f"{method}: the node answered something else than it should ({type(error).__name__})"
        raise ChainError(f"{what}; if that lasts, name another node") from error


def _hex(value: bytes) -> str:
    return "0x" + bytes(value).hex()
