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
from eth_account import Account
from eth_utils.address import to_checksum_address

from gateway.chain import abi, jsonrpc, recursion
from gateway.chain.jsonrpc import RpcError
from gateway.chain.sending import Sender

recursion.bound()


@dataclass(frozen=True)
class Contract:
    """A deployed contract; `name` is one of contracts.NAMES."""

    name: str
    address: str


@dataclass(frozen=True)
class Receipt:
    """A mined transaction that succeeded. `created` is the new contract's address, or ""."""

    tx: str
    block: int
    gas: int
    created: str


@dataclass(frozen=True)
class Event:
    """A log entry; `position` orders those of a block."""

    arguments: dict[str, Any]
    block: int
    position: int
    tx: str


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
        self.chain_id = int(self.request("eth_chainId", []), 16)
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

    def request(self, method: str, params: list[Any]) -> Any:
        """The result of a JSON-RPC method, one of jsonrpc.OFFERED: none of them makes the node sign.

        Raises:
            ChainError: the method is not offered, or the chain answered with an error.
        """
        if method not in jsonrpc.OFFERED:
            raise ChainError(f"method {str(method)[:80]!r} is not offered", jsonrpc.UNKNOWN_METHOD)
        with self._lock:
            try:
                return self._request(method, params)
            except RpcError as error:
                raise ChainError(str(error), error.code, error.data) from None

    def block_number(self) -> int:
        """The newest block."""
        return int(self.request("eth_blockNumber", []), 16)

    def block_hash(self, number: int) -> bytes:
        """32 bytes.

        Raises:
            ChainError: there is no such block yet.
        """
        found = self.request("eth_getBlockByNumber", [hex(number), False])
        if found is None:
            raise ChainError(f"block {number} is not there")
        return bytes.fromhex(found["hash"][2:])

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
            answer = self.request("eth_call", [message, "latest" if block is None else hex(block)])
        try:
            return abi.decode_answer(contract.name, function, bytes.fromhex(answer[2:]))
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
        """Events `name` of `contract` in blocks `first` to `last` (default: the newest), both included, in order."""
        wanted = {
            "address": contract.address,
            "topics": [_hex(abi.event_topic(contract.name, name))],
            "fromBlock": hex(first),
            "toBlock": "latest" if last is None else hex(last),
        }
        return [_event(contract.name, name, log) for log in self.request("eth_getLogs", [wanted])]

    def _transact(self, what: str, message: dict[str, str], key: PrivateKey) -> Receipt:
        account = Account.from_key(key.secret)
        with _named(what):
            if self.only_tries:
                raise Rehearsed(what, self._gas(message, account.address))
            try:
                tx, found = self._sender.send(message, account)
            except RpcError as error:
                raise ChainError(str(error), error.code, error.data) from None
            block = int(found["blockNumber"], 16)
            if found["status"] != "0x1":
                # Run it again on the state before it: a receipt does not tell the reason.
                self.request("eth_call", [{**message, "from": account.address}, hex(block - 1)])
                raise ChainError(f"{tx} reverted")
        made = found.get("contractAddress")  # in whatever case of letters the node writes it
        return Receipt(tx, block, int(found["gasUsed"], 16), to_checksum_address(made) if made else "")

    def _gas(self, message: dict[str, str], sender: str) -> int:
        return int(self.request("eth_estimateGas", [{**message, "from": sender}]), 16)

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
    from web3 import HTTPProvider

    provider = HTTPProvider(url)

    def request(method: str, params: list[Any]) -> Any:
        try:
            answer: Any = provider.make_request(method, params)
        except (OSError, ValueError) as error:
            raise RpcError(jsonrpc.REFUSED, f"no answer: {error}") from error
        if "error" not in answer:
            return answer.get("result")
        found = answer["error"]
        data = found.get("data")
        data = data.get("data") if isinstance(data, dict) else data
        data = data if jsonrpc.is_data(data) else None
        raise RpcError(int(found.get("code", jsonrpc.REFUSED)), str(found.get("message")), data)

    return Chain(request)


def address_of(key: PrivateKey) -> str:
    """The EIP-55 address of a private key."""
    return str(Account.from_key(key.secret).address)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Put what was tried in front of a ChainError's message."""
    try:
        yield
    except ChainError as error:
        raise ChainError(f"{what}: {error.reason}", error.code, error.data) from None


def _event(contract: str, name: str, log: dict[str, Any]) -> Event:
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    arguments = abi.decode_event(contract, name, topics, bytes.fromhex(log["data"][2:]))
    return Event(arguments, int(log["blockNumber"], 16), int(log["logIndex"], 16), log["transactionHash"])


def _hex(value: bytes) -> str:
    return "0x" + bytes(value).hex()
