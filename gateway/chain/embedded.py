"""An EVM in this process (py-evm, Prague rules) that answers JSON-RPC. Refuses to hold keys: transactions come signed.

Rules: each transaction is a block of its own, on disk before it is acknowledged; a refused one leaves no trace. Every
block carries 32 random bytes, so that nobody outside knows its hash before it is there. Old states are kept: a call can
be asked of any block. Not for two threads at once (chain.py holds the lock). Block times strictly increase, so
more than one block a second runs ahead of the clock until a pause.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eth._utils.address import generate_contract_address
from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.exceptions import CanonicalHeadNotFound, HeaderNotFound, PyEVMError
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from gateway.chain import jsonrpc, recursion
from gateway.chain.jsonrpc import RpcError
from gateway.chain.store import ChainStore, StoreError

recursion.bound()

CHAIN_ID = 1331
GAS_LIMIT = 30_000_000
CALL_GAS_LIMIT = 10_000_000  # some seconds of py-evm, during which the chain answers nobody else
FUNDS_WEI = 10**24
TIP_WEI = 10**9
MOST_LOGS = 10_000


class _PyEvm(MiningChain):
    chain_id = CHAIN_ID
    vm_configuration = ((0, PragueVM),)  # type: ignore[assignment]

    def create_header_from_parent(self, parent_header: BlockHeaderAPI, **fields: Any) -> BlockHeaderAPI:
        return super().create_header_from_parent(parent_header, **{**fields, "gas_limit": parent_header.gas_limit})


class EmbeddedChain:
    """A chain in one file. Amounts in wei, times in seconds since 1970."""

    def __init__(self, path: Path, funded: tuple[str, ...] = ()) -> None:
        """Open the chain in `path`; where there is none, begin one in which each `funded` address has 10**24 wei.

        Raises:
            chain_store.StoreError: another process has it, or it cannot be written.
        """
        self._store = ChainStore(path)
        database = AtomicDB(self._store)  # type: ignore[arg-type]
        try:
            self._chain = _PyEvm(database)
        except CanonicalHeadNotFound:
            with self._store.block():
                self._chain = _PyEvm.from_genesis(database, _genesis_fields(), _genesis_state(funded))  # type: ignore

    def close(self) -> None:
        self._store.close()

    def copy(self, path: Path) -> None:
        """All blocks so far, as another file. chain_store.StoreError: it cannot be written."""
        self._store.copy(path)

    def request(self, method: str, params: list[Any]) -> Any:
        """The result of one JSON-RPC method.

        Raises:
            RpcError: an unknown method, wrong parameters, a refused transaction, or a revert (with its data).
        """
        if method not in _METHODS:
            raise RpcError(jsonrpc.UNKNOWN_METHOD, f"method {method[:80]!r} is not offered")
        answer, parsers = _METHODS[method]
        if not isinstance(params, list) or len(params) > len(parsers):
            raise RpcError(jsonrpc.INVALID_PARAMS, f"{method} takes a list of up to {len(parsers)} parameters")
        values = [parse(params[i] if i < len(params) else None) for i, parse in enumerate(parsers)]
        return answer(self, *values)

    def mine(self) -> None:
        """Add an empty block: a new hash that nobody knew. Raises RpcError if it cannot be written."""
        self._mine([])

    def _mine(self, transactions: list[SignedTransactionAPI]) -> None:
        try:
            with self._store.block():
                self._chain.header = self._chain.create_header_from_parent(self._chain.get_canonical_head())
                found = self._chain.mine_all(transactions, extra_data=os.urandom(32))
                header = found[0].imported_block.header
                for transaction, outcome in zip(transactions, found[1], strict=True):
                    content = _transaction(header, transaction)
                    receipt = _receipt(header, content, transaction, outcome)
                    self._store.put_transaction(transaction.hash, content, receipt)
        except StoreError as error:
            raise RpcError(jsonrpc.REFUSED, str(error)) from error

    def _send(self, raw: bytes) -> str:
        try:
            transaction = PragueVM.get_transaction_builder().decode(raw)
            if getattr(transaction, "type_id", 0) not in (None, 0, 1, 2):
                raise RpcError(jsonrpc.REFUSED, f"transaction type {transaction.type_id}, wanted 0, 1 or 2")
            if transaction.chain_id != CHAIN_ID:
                raise RpcError(jsonrpc.REFUSED, f"chain id {transaction.chain_id}, wanted {CHAIN_ID}")
            self._mine([transaction])
        except (ValidationError, PyEVMError, RLPException, BadSignature, IndexError) as error:
            raise RpcError(jsonrpc.REFUSED, f"transaction refused: {str(error)[:200]}") from error
        return _hex(transaction.hash)

    def _run(self, message: dict[str, Any], number: int | None) -> tuple[ComputationAPI, int]:
        """Run a message on the state after block `number`, keep nothing: (computation, gas used before refunds)."""
        vm = self._chain.get_vm(self._header(number))
        gas = min(message["gas"] or CALL_GAS_LIMIT, CALL_GAS_LIMIT)
        try:
            with vm.in_costless_state() as state:
                unsigned = PragueVM.create_unsigned_transaction(
                    nonce=state.get_nonce(message["from"]), gas_price=0, gas=gas,
                    to=message["to"], value=message["value"], data=message["data"],
                )  # fmt: skip
                spoofed: Any = SpoofTransaction(unsigned, from_=message["from"])
                computation = state.costless_execute_transaction(spoofed)
        except ValidationError as error:
            raise RpcError(jsonrpc.REFUSED, f"call refused: {error}") from error
        if not computation.is_error:
            return computation, gas - computation.get_gas_remaining()
        reason = computation.error.args[0] if computation.error.args else b""
        if isinstance(reason, bytes):
            raise RpcError(jsonrpc.REVERTED, "execution reverted", _hex(reason))
        raise RpcError(jsonrpc.REFUSED, f"{type(computation.error).__name__}: {reason}")

    def _call(self, message: dict[str, Any], number: int | None) -> str:
        return _hex(self._run(message, number)[0].output)

    def _estimate(self, message: dict[str, Any], number: int | None) -> str:
        """A quarter and 10,000 above what one run used: inner calls keep back 1/64 of the gas, refunds come last."""
        used = self._run(message, number)[1]
        return hex(min(GAS_LIMIT, used + used // 4 + 10_000))

    def _header(self, number: int | None) -> BlockHeaderAPI:
        try:
            if number is None:
                return self._chain.get_canonical_head()
            return self._chain.get_canonical_block_header_by_number(number)  # type: ignore[arg-type]
        except HeaderNotFound:
            raise RpcError(jsonrpc.REFUSED, f"block {number} is not there") from None

    def _state(self, number: int | None) -> Any:
        return self._chain.get_vm(self._header(number)).state

    def _block(self, number: int | None, full: bool) -> dict[str, Any] | None:
        try:
            header = self._header(number)
        except RpcError:
            return None
        return self._describe(header, full)

    def _block_by_hash(self, block_hash: bytes, full: bool) -> dict[str, Any] | None:
        try:
            header = self._chain.get_block_header_by_hash(block_hash)  # type: ignore[arg-type]
        except HeaderNotFound:
            return None
        return self._describe(header, full)

    def _describe(self, header: BlockHeaderAPI, full: bool) -> dict[str, Any]:
        hashes = self._chain.chaindb.get_block_transaction_hashes(header)
        inside = [self._transaction(item) if full else _hex(item) for item in hashes]
        return {**_block_fields(header), "transactions": inside}

    def _transaction(self, tx_hash: bytes) -> dict[str, Any] | None:
        found = self._store.transaction(tx_hash)
        return found[0] if found else None

    def _receipt(self, tx_hash: bytes) -> dict[str, Any] | None:
        found = self._store.transaction(tx_hash)
        return found[1] if found else None

    def _logs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        newest = self._header(None).block_number
        first = newest if wanted["first"] is None else wanted["first"]
        last = newest if wanted["last"] is None else wanted["last"]
        if max(first, last) > 2**62:
            raise RpcError(jsonrpc.INVALID_PARAMS, f"blocks {first} to {last}, the newest is {newest}")
        names = wanted["topics"][0] if wanted["topics"] else set()
        logs = self._store.logs(first, last, wanted["addresses"], names, MOST_LOGS + 1)
        if len(logs) > MOST_LOGS:
            raise RpcError(jsonrpc.REFUSED, f"more than {MOST_LOGS} logs: ask for fewer blocks")
        return [log for log in logs if _matches(log["topics"], wanted["topics"])]


def _matches(topics: list[str], wanted: list[set[bytes]]) -> bool:
    if len(wanted) > len(topics):
        return False
    return all(not some or bytes.fromhex(topic[2:]) in some for topic, some in zip(topics, wanted, strict=False))


def _genesis_fields() -> Any:
    roots = {"receipt_root": BLANK_ROOT_HASH, "transaction_root": BLANK_ROOT_HASH}
    return {"gas_limit": GAS_LIMIT, "extra_data": os.urandom(32), **roots}


def _genesis_state(funded: tuple[str, ...]) -> Any:
    account = {"balance": FUNDS_WEI, "nonce": 0, "code": b"", "storage": {}}
    return {jsonrpc.address(item): account for item in funded}


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _block_fields(header: Any) -> dict[str, Any]:
    return {
        "number": hex(header.block_number), "hash": _hex(header.hash), "parentHash": _hex(header.parent_hash),
        "timestamp": hex(header.timestamp), "extraData": _hex(header.extra_data), "mixHash": _hex(header.mix_hash),
        "nonce": _hex(header.nonce), "miner": _address(header.coinbase), "difficulty": hex(header.difficulty),
        "gasLimit": hex(header.gas_limit), "gasUsed": hex(header.gas_used),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "stateRoot": _hex(header.state_root), "transactionsRoot": _hex(header.transaction_root),
        "receiptsRoot": _hex(header.receipt_root), "logsBloom": f"0x{header.bloom:0512x}",
        "sha3Uncles": _hex(header.uncles_hash), "uncles": [],
    }  # fmt: skip


def _transaction(header: BlockHeaderAPI, transaction: Any) -> dict[str, Any]:
    most, tip = transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas
    kind = getattr(transaction, "type_id", None) or 0
    fees = {"maxFeePerGas": hex(most), "maxPriorityFeePerGas": hex(tip)} if kind == 2 else {}
    return {
        "hash": _hex(transaction.hash), "blockHash": _hex(header.hash), "blockNumber": hex(header.block_number),
        "transactionIndex": "0x0", "type": hex(kind), "chainId": hex(CHAIN_ID), "nonce": hex(transaction.nonce),
        "from": _address(transaction.sender), "to": _address(transaction.to) if transaction.to else None,
        "value": hex(transaction.value), "gas": hex(transaction.gas), "input": _hex(transaction.data),
        "gasPrice": hex(min(most, header.base_fee_per_gas + tip)), **fees,
        "v": hex(transaction.v if kind == 0 else transaction.y_parity),
        "r": hex(transaction.r), "s": hex(transaction.s),
    }  # fmt: skip


def _receipt(
    header: BlockHeaderAPI, content: dict[str, Any], transaction: SignedTransactionAPI, receipt: ReceiptAPI
) -> dict[str, Any]:
    where = {name: content[name] for name in ("blockHash", "blockNumber", "transactionIndex")}
    where["transactionHash"] = content["hash"]
    made = None if transaction.to else _address(generate_contract_address(transaction.sender, transaction.nonce))
    logs = [
        {
            **where, "address": _address(log.address), "data": _hex(log.data), "logIndex": hex(index),
            "topics": [f"0x{topic:064x}" for topic in log.topics], "removed": False,
        }
        for index, log in enumerate(receipt.logs)
    ]  # fmt: skip
    return {
        **where, "from": content["from"], "to": content["to"], "contractAddress": made, "type": content["type"],
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0", "gasUsed": hex(receipt.gas_used),
        "cumulativeGasUsed": hex(receipt.gas_used), "effectiveGasPrice": content["gasPrice"],
        "logs": logs, "logsBloom": f"0x{receipt.bloom:0512x}",
    }  # fmt: skip


def _address(raw: bytes) -> str:
    return str(to_checksum_address(raw))


_METHODS: dict[str, tuple[Callable[..., Any], tuple[Callable[[Any], Any], ...]]] = {
    "web3_clientVersion": (lambda self: "tinyren/py-evm", ()),
    "net_version": (lambda self: str(CHAIN_ID), ()),
    "eth_chainId": (lambda self: hex(CHAIN_ID), ()),
    "eth_syncing": (lambda self: False, ()),
    "eth_blockNumber": (lambda self: hex(self._header(None).block_number), ()),
    "eth_gasPrice": (lambda self: hex(self._header(None).base_fee_per_gas + TIP_WEI), ()),
    "eth_maxPriorityFeePerGas": (lambda self: hex(TIP_WEI), ()),
    "eth_getBalance": (lambda self, who, at: hex(self._state(at).get_balance(who)), (jsonrpc.address, jsonrpc.block)),
    "eth_getTransactionCount": (
        lambda self, who, at: hex(self._state(at).get_nonce(who)),
        (jsonrpc.address, jsonrpc.block),
    ),
    "eth_getCode": (lambda self, who, at: _hex(self._state(at).get_code(who)), (jsonrpc.address, jsonrpc.block)),
    "eth_getStorageAt": (
        lambda self, who, slot, at: f"0x{self._state(at).get_storage(who, slot):064x}",
        (jsonrpc.address, jsonrpc.quantity, jsonrpc.block),
    ),
    "eth_call": (EmbeddedChain._call, (jsonrpc.message, jsonrpc.block)),
    "eth_estimateGas": (EmbeddedChain._estimate, (jsonrpc.message, jsonrpc.block)),
    "eth_sendRawTransaction": (EmbeddedChain._send, (jsonrpc.data,)),
    "eth_getTransactionByHash": (EmbeddedChain._transaction, (jsonrpc.hash32,)),
    "eth_getTransactionReceipt": (EmbeddedChain._receipt, (jsonrpc.hash32,)),
    "eth_getBlockByNumber": (EmbeddedChain._block, (jsonrpc.block, jsonrpc.flag)),
    "eth_getBlockByHash": (EmbeddedChain._block_by_hash, (jsonrpc.hash32, jsonrpc.flag)),
    "eth_getLogs": (EmbeddedChain._logs, (jsonrpc.log_filter,)),
}
