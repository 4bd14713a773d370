"""The Merkle tree, against vectors of OpenZeppelin's own library and against itself."""

import json
from pathlib import Path

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.oracle import merkle

# Made with @openzeppelin/merkle-tree 1.0.8: StandardMerkleTree.of(leaves, ["uint256", "uint256"], {sortLeaves: false}).
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "merkle.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{len(vector['leaves'])} leaves")
def test_root_and_proofs_are_those_of_openzeppelins_library(vector):
    leaves = [merkle.leaf(deed, int(amount)) for deed, amount in vector["leaves"]]
    assert merkle.root(leaves).hex() == vector["root"]
    assert [[item.hex() for item in proof] for proof in merkle.proofs(leaves)] == vector["proofs"]


def test_a_leaf_is_the_double_hash_of_the_abi_encoding():
    assert merkle.leaf(7, 10**18) == keccak(keccak(encode(["uint256", "uint256"], [7, 10**18])))


def test_no_leaves_have_the_zero_root_and_no_proofs():
    assert merkle.root([]) == bytes(32) and merkle.proofs([]) == []


def test_one_leaf_is_the_root_and_its_proof_is_empty():
    leaf = merkle.leaf(1, 0)
    assert merkle.root([leaf]) == leaf and merkle.proof([leaf], 0) == []


@pytest.mark.parametrize("deed, amount", [(-1, 0), (0, -1), (2**256, 0), (0, 2**256)])
def test_a_number_that_is_no_uint256_is_refused(deed, amount):
    with pytest.raises(OverflowError):
        merkle.leaf(deed, amount)


@pytest.mark.parametrize("count, index", [(0, 0), (3, 3), (3, -1)])
def test_a_leaf_that_is_not_there_has_no_proof(count, index):
    with pytest.raises(IndexError, match=f"leaf {index} of {count}"):
        merkle.proof([merkle.leaf(deed, 1) for deed in range(count)], index)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=70), st.data())
def test_each_leaf_is_proved_and_no_other_amount_is(amounts, data):
    leaves = [merkle.leaf(deed, amount) for deed, amount in enumerate(amounts)]
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = merkle.root(leaves), merkle.proof(leaves, index)
    assert proof == merkle.proofs(leaves)[index] and len(proof) <= len(leaves).bit_length()
    assert merkle.is_proved(root, leaves[index], proof)
    assert not merkle.is_proved(root, merkle.leaf(index, (amounts[index] + 1) % 2**256), proof)
    assert not merkle.is_proved(root, leaves[index], [*proof, bytes(32)])


def test_the_work_is_linear_in_the_leaves(monkeypatch):
    calls = []
    monkeypatch.setattr(merkle, "keccak", lambda raw: calls.append(1) or raw[:32])
    merkle.root([bytes(32)] * 10_000)
    assert len(calls) == 9_999
