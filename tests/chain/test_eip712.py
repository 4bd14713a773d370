"""EIP-712 digests of a Binding, against `eth_account`, and their vectors."""

import json
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import eip712
from device.agent.errors import LocalError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "eip712.json").read_text())["binding"]
TYPES = {
    "Binding": [
        {"name": "deed", "type": "uint256"},
        {"name": "device", "type": "address"},
        {"name": "owner", "type": "address"},
        {"name": "board", "type": "bytes32"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ]
}
ADDRESS = st.binary(min_size=20, max_size=20)
WORD = st.integers(0, 2**64 - 1)


def typed_data(chain_id, contract, deed, device, owner, board, nonce, deadline):
    """What eth_account signs for the same Binding."""
    domain = {"name": "tinyren Devices", "version": "1", "chainId": chain_id, "verifyingContract": contract}
    message = {
        "deed": deed,
        "device": "0x" + device.hex(),
        "owner": "0x" + owner.hex(),
        "board": board.encode().ljust(32, b"\0"),
        "nonce": nonce,
        "deadline": deadline,
    }
    return encode_typed_data(domain, TYPES, message)


def fields(vector):
    order = ("chain_id", "contract", "deed", "device", "owner", "board", "nonce", "deadline")
    octets = {"contract", "device", "owner"}
    return [
        bytes.fromhex(vector[name]) if name in octets else vector[name] if name == "board" else int(vector[name])
        for name in order
    ]


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_gives_its_digest(vector):
    chain_id, contract = fields(vector)[:2]

    assert eip712.hash_domain(keccak, eip712.BINDING_NAME, chain_id, contract).hex() == vector["domain"]
    assert eip712.binding_digest(keccak, *fields(vector)).hex() == vector["digest"]


def test_the_vectors_signature_is_eth_accounts_over_the_same_fields():
    signed = Account.sign_message(typed_data(*fields(VECTORS[0])), bytes.fromhex(VECTORS[0]["secret"]))

    assert signed.signature.hex() == VECTORS[0]["signature"]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(WORD, ADDRESS, WORD, ADDRESS, ADDRESS, st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True), WORD, WORD)
def test_a_binding_digest_is_eth_accounts(chain_id, contract, deed, device, owner, board, nonce, deadline):
    message = typed_data(chain_id, contract, deed, device, owner, board, nonce, deadline)

    digest = eip712.binding_digest(keccak, chain_id, contract, deed, device, owner, board, nonce, deadline)

    assert digest == keccak(b"\x19\x01" + message.header + message.body)


@pytest.mark.parametrize("value", [-1, 2**256, b"", bytes(19), bytes(33)])
def test_a_value_that_fits_no_word_is_refused(value):
    with pytest.raises(LocalError):
        eip712.word(value)


@pytest.mark.parametrize("board", ["", "b" * 33, "bo\u00e4rd"])
def test_a_board_that_fits_no_bytes32_is_refused(board):
    with pytest.raises(LocalError):
        eip712.board_word(board)
