// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Devices} from "../src/Devices.sol";
import {NodeDeed} from "../src/NodeDeed.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {R1} from "../src/R1.sol";
import {Settlement} from "../src/Settlement.sol";
import {Tree} from "./Tree.sol";
import {Vm, vm} from "./Vm.sol";

/// @title The contracts with keys for everyone: four deeds of three owners, oracles of which more than half must sign.
/// @dev Signatures are made from the texts of EIP-712 here, not by the contracts' own code.
abstract contract Scene {
    uint256 internal constant OWNERS = 3;
    uint256 internal constant DEEDS = 4;
    uint256 internal constant DEVICES = 6;
    uint32 internal constant DELAY = 1 hours;
    uint256 internal constant COOL_DOWN = 1 days;
    uint128 internal constant CAP = 1_000_000 ether;
    uint256 internal constant NEVER = type(uint256).max;
    address internal constant GUARDIAN = address(0x6A2D);
    address internal constant GOVERNOR = address(0x60F);
    bytes32 internal constant EVIDENCE = keccak256("evidence");

    struct Leaves {
        uint256[DEEDS] deeds;
        uint256[OWNERS] accounts;
    }

    NodeDeed internal deeds;
    Devices internal devices;
    Settlement internal settlement;
    R1 internal r1;
    uint256[] internal oracles;

    function build() internal {
        deeds = new NodeDeed(address(this));
        devices = new Devices(deeds, COOL_DOWN);
        for (uint256 deed = 1; deed <= DEEDS; ++deed) deeds.mint(deed, ownerAddress(deed % OWNERS), uint16(1 + deed % 2));
        oracles = oracleKeys(0, 3);
        settlement = new Settlement(deeds, addresses(oracles), 2, CAP, DELAY, GUARDIAN, GOVERNOR);
        r1 = R1(address(settlement.r1()));
    }

    function ownerKey(uint256 index) internal pure returns (uint256) {
        return 0x1000 + index;
    }

    function ownerAddress(uint256 index) internal pure returns (address) {
        return vm.addr(ownerKey(index));
    }

    function deviceKey(uint256 index) internal pure returns (uint256) {
        return 0x2000 + index;
    }

    function deviceAddress(uint256 index) internal pure returns (address) {
        return vm.addr(deviceKey(index));
    }

    /// @dev `count` keys in ascending order of their addresses.
    function oracleKeys(uint256 from, uint256 count) internal pure returns (uint256[] memory keys) {
        keys = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 key = 0x3000 + from + i;
            uint256 place = i;
            for (; place > 0 && vm.addr(keys[place - 1]) > vm.addr(key); --place) keys[place] = keys[place - 1];
            keys[place] = key;
        }
    }

    function addresses(uint256[] memory keys) internal pure returns (address[] memory found) {
        found = new address[](keys.length);
        for (uint256 i = 0; i < keys.length; ++i) found[i] = vm.addr(keys[i]);
    }

    function domain(string memory name, address verifier) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        );
        return keccak256(abi.encode(kind, keccak256(bytes(name)), keccak256("1"), block.chainid, verifier));
    }

    function signed(uint256 key, bytes32 domain_, bytes32 struct_) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain_, struct_)));
        return abi.encodePacked(r, s, v);
    }

    function signedByOracles(bytes32 struct_, uint256 count) internal view returns (bytes[] memory found) {
        bytes32 domain_ = domain("tinyren Settlement", address(settlement));
        found = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) found[i] = signed(oracles[i], domain_, struct_);
    }

    function rootStruct(uint256 epoch, bytes32 root, uint256 total) internal pure returns (bytes32) {
        bytes32 kind = keccak256("Root(uint256 epoch,bytes32 root,uint256 total,bytes32 evidence)");
        return keccak256(abi.encode(kind, epoch, root, total, EVIDENCE));
    }

    function oraclesStruct(uint256 number, uint256[] memory keys, uint256 threshold) internal pure returns (bytes32) {
        bytes32 kind = keccak256("Oracles(uint256 number,address[] oracles,uint256 threshold)");
        return keccak256(abi.encode(kind, number, keccak256(abi.encodePacked(addresses(keys))), threshold));
    }

    function bindingStruct(uint256 deed, address device, address owner) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "Binding(uint256 deed,address device,address owner,bytes32 board,uint256 nonce,uint256 deadline)"
        );
        return keccak256(abi.encode(kind, deed, device, owner, bytes32("board"), devices.nonces(device), NEVER));
    }

    function bind(uint256 deed, uint256 device, uint256 owner) internal {
        bytes32 domain_ = domain("tinyren Devices", address(devices));
        bytes32 struct_ = bindingStruct(deed, deviceAddress(device), ownerAddress(owner));
        bytes memory byOwner = signed(ownerKey(owner), domain_, struct_);
        bytes memory byDevice = signed(deviceKey(device), domain_, struct_);
        devices.bind(deed, deviceAddress(device), bytes32("board"), NEVER, byOwner, byDevice);
    }

    function post(uint256 epoch, bytes32 root, uint256 total, uint256 signatures) internal {
        settlement.post(epoch, root, total, EVIDENCE, signedByOracles(rootStruct(epoch, root, total), signatures));
    }

    /// @dev Claims the deeds of places `chosen` (ascending) at once.
    function claimDeeds(Leaves memory leaves, uint256[] memory chosen) internal {
        ISettlement.Leaf[] memory leaves_ = new ISettlement.Leaf[](chosen.length);
        for (uint256 i = 0; i < chosen.length; ++i) {
            leaves_[i] = ISettlement.Leaf(chosen[i] + 1, leaves.deeds[chosen[i]]);
        }
        (bytes32[] memory proof, bool[] memory flags) = Tree.multiproof(deedHashes(leaves.deeds), chosen);
        if (hasAccounts(leaves)) {
            proof = Tree.add(proof, Tree.root(accountHashes(leaves.accounts)));
            flags = Tree.addFlag(flags, false);
        }
        settlement.claimMany(leaves_, proof, flags);
    }

    function quorum() internal view returns (uint256) {
        return settlement.threshold();
    }

    /// @dev The tree of deeds alone.
    function treeRoot(uint256[DEEDS] memory leaves) internal pure returns (bytes32) {
        return Tree.root(deedHashes(leaves));
    }

    function proofOf(uint256[DEEDS] memory leaves, uint256 deed) internal pure returns (bytes32[] memory) {
        return Tree.proof(deedHashes(leaves), deed - 1);
    }

    /// @dev The trees of deeds and accounts under one root; no tree of accounts while none has earned.
    function rootOf(Leaves memory leaves) internal pure returns (bytes32) {
        bytes32 left = treeRoot(leaves.deeds);
        return hasAccounts(leaves) ? Tree.pair(left, Tree.root(accountHashes(leaves.accounts))) : left;
    }

    function totalOf(Leaves memory leaves) internal pure returns (uint256 all) {
        all = sum(leaves.deeds);
        for (uint256 i = 0; i < OWNERS; ++i) all += leaves.accounts[i];
    }

    function deedProof(Leaves memory leaves, uint256 deed) internal pure returns (bytes32[] memory proof) {
        proof = proofOf(leaves.deeds, deed);
        if (hasAccounts(leaves)) proof = Tree.add(proof, Tree.root(accountHashes(leaves.accounts)));
    }

    function accountProof(Leaves memory leaves, uint256 owner) internal pure returns (bytes32[] memory) {
        return Tree.add(Tree.proof(accountHashes(leaves.accounts), owner), treeRoot(leaves.deeds));
    }

    function hasAccounts(Leaves memory leaves) internal pure returns (bool) {
        return leaves.accounts[0] + leaves.accounts[1] + leaves.accounts[2] > 0;
    }

    function deedHashes(uint256[DEEDS] memory leaves) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](DEEDS);
        for (uint256 i = 0; i < DEEDS; ++i) hashes[i] = Tree.leaf(abi.encode(i + 1, leaves[i]));
    }

    function accountHashes(uint256[OWNERS] memory leaves) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](OWNERS);
        for (uint256 i = 0; i < OWNERS; ++i) {
            hashes[i] = Tree.leaf(abi.encode(keccak256("tinyren account"), ownerAddress(i), leaves[i]));
        }
    }

    function sum(uint256[DEEDS] memory values) internal pure returns (uint256 all) {
        for (uint256 i = 0; i < DEEDS; ++i) all += values[i];
    }
}
