"""Contracts on a chain: the embedded one or any JSON-RPC. Refuses to let a node sign: keys stay in this process.

Rules: a transaction is returned only when it is in a block and did what it should; one that reverts raises ChainError with
the contract's own error. Safe for threads: one lock around each request, and from nonce to sending. Addresses are EIP-55
text, amounts wei, hashes "0x..." text. Source of names and types: contracts/artifacts.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from coincurve import PrivateKey
from eth_account import Account
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.contract import Contract as Codec

from contracts import NAMES, artifact
from gateway import jsonrpc
from gateway.jsonrpc import RpcError

MINED_WITHIN_S = 120
POLL_S = 0.2
_WEB3 = Web3()


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
    created: str = ""


@dataclass(frozen=True)
class Event:
    """A log entry; `position` orders those of a block."""

    name: str
    arguments: dict[str, Any]
    block: int
    position: int
    tx: str


class ChainError(Exception):
    """A chain did not do it. `name` and `arguments` are the contract's error ("" and {} if it was none of a contract's);
    `code` and `data` are JSON-RPC's."""

    def __init__(self, message: str, code: int = jsonrpc.REFUSED, data: str | None = None) -> None:
        self.name, self.arguments = decode_error(data)
        told = ", ".join(f"{name} {_shown(value)}" for name, value in self.arguments.items())
        super().__init__(f"{message}: {self.name}({told})" if self.name else message)
        self.code = code
        self.data = data


class Chain:
    """One chain, made by open_embedded() or connect()."""

    def __init__(
        self,
        request: Callable[[str, list[Any]], Any],
        mine: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._request, self._mine, self._close = request, mine, close
        self._lock = threading.RLock()
        self.chain_id = int(self.request("eth_chainId", []), 16)

    def close(self) -> None:
        """Free the embedded chain's file."""
        with self._lock:
            self._close()

    def request(self, method: str, params: list[Any]) -> Any:
        """The result of a JSON-RPC method, one of jsonrpc.OFFERED (none of which signs).

        Raises:
            ChainError: the method is not offered, or what the chain answered.
        """
        if method not in jsonrpc.OFFERED:
            raise ChainError(f"method {str(method)[:80]!r} is not offered", jsonrpc.UNKNOWN_METHOD)
        with self._lock:
            try:
                return self._request(method, params)
            except RpcError as error:
                raise ChainError(str(error), error.code, error.data) from error

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
            self._mine()
            return self.block_number()

    def has_code(self, address: str) -> bool:
        """Whether there is a contract at `address`."""
        return bool(self.request("eth_getCode", [address, "latest"]) != "0x")

    def call(self, contract: Contract, function: str, *arguments: Any, block: int | None = None) -> Any:
        """What a view answers, on the state after `block` or now: a value, or a tuple if it answers several.

        Raises:
            ChainError: it reverts, or the chain does not keep the state of that block.
        """
        codec = _codec(contract.name)
        message = {"to": contract.address, "data": codec.encode_abi(function, arguments)}
        answer = self.request("eth_call", [message, "latest" if block is None else hex(block)])
        outputs = codec.get_function_by_signature(_signature(contract.name, function)).abi["outputs"]
        values = _WEB3.codec.decode([_type(item) for item in outputs], HexBytes(answer))
        return _clean(values[0] if len(values) == 1 else values)

    def deploy(self, name: str, *arguments: Any, key: PrivateKey) -> tuple[Contract, Receipt]:
        """Create contract `name`; `key` pays.

        Raises:
            ChainError: the constructor reverts, or the transaction is refused.
        """
        codec = _codec(name)
        body = artifact(name).bytecode + bytes(HexBytes(codec.constructor(*arguments).data_in_transaction))[len(artifact(name).bytecode):]
        receipt = self._transact(f"deploy {name}", {"data": "0x" + body.hex()}, key)
        return Contract(name, receipt.created), receipt

    def send(self, contract: Contract, function: str, *arguments: Any, key: PrivateKey) -> Receipt:
        """Run `function` in a transaction that `key` signs and pays.

        Raises:
            ChainError: it reverts (then nothing was sent), or is refused, or is not mined within 120 s.
        """
        body = _codec(contract.name).encode_abi(function, arguments)
        return self._transact(f"{contract.name}.{function}", {"to": contract.address, "data": body}, key)

    def events(self, contract: Contract, name: str, first: int = 0, last: int | None = None) -> list[Event]:
        """Events `name` of `contract` in blocks `first` to `last` (default: the newest), both included, in order."""
        event = _codec(contract.name).events[name]()
        wanted = {
            "address": contract.address,
            "topics": [event.topic],
            "fromBlock": hex(first),
            "toBlock": "latest" if last is None else hex(last),
        }
        return [_event(event, log) for log in self.request("eth_getLogs", [wanted])]

    def _transact(self, what: str, message: dict[str, str], key: PrivateKey) -> Receipt:
        account = Account.from_key(key.secret)
        try:
            with self._lock:
                tx_hash = self._send(message, account)
        except ChainError as error:
            raise ChainError(f"{what}: {error.__cause__ or error}", error.code, error.data) from error
        receipt = self._mined(what, tx_hash)
        if receipt["status"] != "0x1":
            self._explain(what, {**message, "from": account.address}, int(receipt["blockNumber"], 16) - 1)
        made = receipt.get("contractAddress") or ""
        return Receipt(tx_hash, int(receipt["blockNumber"], 16), int(receipt["gasUsed"], 16), made)

    def _send(self, message: dict[str, str], account: Any) -> str:
        sender = account.address
        price = int(self.request("eth_gasPrice", []), 16)
        tip = min(price, int(self.request("eth_maxPriorityFeePerGas", []), 16))
        transaction = {
            **message,
            "gas": int(self.request("eth_estimateGas", [{**message, "from": sender}]), 16),
            "nonce": int(self.request("eth_getTransactionCount", [sender, "pending"]), 16),
            "chainId": self.chain_id,
            "maxFeePerGas": 2 * price,
            "maxPriorityFeePerGas": tip,
            "value": 0,
        }
        raw = account.sign_transaction(transaction).raw_transaction
        return str(self.request("eth_sendRawTransaction", ["0x" + bytes(raw).hex()]))

    def _mined(self, what: str, tx_hash: str) -> dict[str, Any]:
        end_s = time.monotonic() + MINED_WITHIN_S
        while True:
            found: dict[str, Any] | None = self.request("eth_getTransactionReceipt", [tx_hash])
            if found and found.get("blockNumber"):
                return found
            if time.monotonic() > end_s:
                raise ChainError(f"{what}: {tx_hash} is in no block after {MINED_WITHIN_S} s")
            time.sleep(POLL_S)

    def _explain(self, what: str, message: dict[str, str], block: int) -> None:
        """Raise the error of a transaction that was mined and reverted, by running it again on the state before it."""
        try:
            self.request("eth_call", [message, hex(block)])
        except ChainError as error:
            raise ChainError(f"{what}: {error.__cause__ or error}", error.code, error.data) from error
        raise ChainError(f"{what}: reverted")


def open_embedded(path: Path, funded: tuple[str, ...] = ()) -> Chain:
    """The embedded chain in `path`; where there is none, a new one in which each `funded` address has 10**24 wei.

    Raises:
        ChainError: another process has it open.
    """
    from gateway.chain_store import StoreInUse
    from gateway.embedded_chain import EmbeddedChain

    try:
        node = EmbeddedChain(path, funded)
    except StoreInUse as error:
        raise ChainError(str(error)) from error
    return Chain(node.request, node.mine, node.close)


def connect(url: str) -> Chain:
    """The chain behind the JSON-RPC at `url`, http or https.

    Raises:
        ChainError: nobody answers there.
    """
    provider = HTTPProvider(url)

    def request(method: str, params: list[Any]) -> Any:
        try:
            answer: Any = provider.make_request(method, params)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            raise RpcError(jsonrpc.REFUSED, f"{url}: {error}") from error
        if "error" in answer:
            found = answer["error"]
            raise RpcError(int(found.get("code", jsonrpc.REFUSED)), str(found.get("message")), _revert_data(found))
        return answer.get("result")

    return Chain(request)


def decode_error(data: str | None) -> tuple[str, dict[str, Any]]:
    """(name, arguments) of the contract error in a revert's data; ("", {}) if it is none that we know."""
    raw = bytes.fromhex(data[2:]) if data else b""
    found = _errors().get(raw[:4])
    if not found:
        return "", {}
    name, inputs = found
    try:
        values = _WEB3.codec.decode([_type(item) for item in inputs], raw[4:])
    except Exception:  # whatever a foreign contract put after a known selector
        return name, {}
    return name, {item["name"]: _clean(value) for item, value in zip(inputs, values, strict=True)}


@cache
def _errors() -> dict[bytes, tuple[str, list[dict[str, Any]]]]:
    known: list[dict[str, Any]] = [
        {"name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
        {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
    ]
    known += [item for name in NAMES for item in artifact(name).abi if item["type"] == "error"]
    return {bytes(Web3.keccak(text=_spelled(item))[:4]): (item["name"], item["inputs"]) for item in known}


@cache
def _codec(name: str) -> type[Codec]:
    return _WEB3.eth.contract(abi=artifact(name).abi, bytecode=artifact(name).bytecode)  # type: ignore[call-overload,no-any-return]
