// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Trees and proofs as OpenZeppelin's merkle-tree makes them, from its description: a complete binary tree in an array, the leaves
/// from its end backwards.
library Tree {
    function leaf(bytes memory value) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(value)));
    }

    function pair(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
    }

    function nodes(bytes32[] memory leaves) internal pure returns (bytes32[] memory tree) {
        uint256 count = leaves.length;
        tree = new bytes32[](2 * count - 1);
        for (uint256 i = 0; i < count; ++i) tree[2 * count - 2 - i] = leaves[i];
        for (uint256 i = count - 1; i > 0; --i) tree[i - 1] = pair(tree[2 * i - 1], tree[2 * i]);
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        return nodes(leaves)[0];
    }

    function proof(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory found) {
        bytes32[] memory tree = nodes(leaves);
        for (uint256 at = tree.length - 1 - index; at > 0; at = (at - 1) / 2) {
            found = add(found, tree[at % 2 == 1 ? at + 1 : at - 1]);
        }
    }

    /// @param chosen Ascending; their leaves are proved together in this order.
    function multiproof(
        bytes32[] memory leaves,
        uint256[] memory chosen
    ) internal pure returns (bytes32[] memory found, bool[] memory flags) {
        bytes32[] memory tree = nodes(leaves);
        uint256[] memory queue = new uint256[](2 * tree.length);
        (uint256 first, uint256 end) = (0, chosen.length);
        for (uint256 i = 0; i < end; ++i) queue[i] = tree.length - 1 - chosen[i];
        while (queue[first] > 0) {
            uint256 at = queue[first++];
            uint256 sibling = at % 2 == 1 ? at + 1 : at - 1;
            bool isKnown = first < end && queue[first] == sibling;
            if (isKnown) ++first;
            else found = add(found, tree[sibling]);
            flags = addFlag(flags, isKnown);
            queue[end++] = (at - 1) / 2;
        }
    }

    function add(bytes32[] memory items, bytes32 item) internal pure returns (bytes32[] memory more) {
        more = new bytes32[](items.length + 1);
        for (uint256 i = 0; i < items.length; ++i) more[i] = items[i];
        more[items.length] = item;
    }

    function addFlag(bool[] memory items, bool item) internal pure returns (bool[] memory more) {
        more = new bool[](items.length + 1);
        for (uint256 i = 0; i < items.length; ++i) more[i] = items[i];
        more[items.length] = item;
    }
}
