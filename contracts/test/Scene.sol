// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Devices} from "../src/Devices.sol";
import {NodeDeed} from "../src/NodeDeed.sol";
import {R1} from "../src/R1.sol";
import {Settlement} from "../src/Settlement.sol";
import {Vm, vm} from "./Vm.sol";

/// @title The contracts with keys for everyone: four deeds of three owners, oracles of which more than half must sign.
/// @dev Signatures are made from the texts of EIP-712 here, not by the contracts' own code.
abstract contract Scene {
    uint256 internal constant OWNERS = 3;
    uint256 internal constant DEEDS = 4;
    uint256 internal constant DEVICES = 6;
    uint256 internal constant DELAY = 1 hours;
    uint256 internal constant COOL_DOWN = 1 days;
    uint256 internal constant CAP = 1_000_000 ether;
    uint256 internal constant NEVER = type(uint256).max;
    address internal constant GUARDIAN = address(0x6A2D);
    bytes32 internal constant EVIDENCE = keccak256("evidence");

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
        settlement = new Settlement(deeds, addresses(oracles), 2, CAP, DELAY, GUARDIAN);
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

    function quorum() internal view returns (uint256) {
        return settlement.threshold();
    }

    /// @dev A tree over the four deeds' leaves, pairs sorted.
    function treeRoot(uint256[DEEDS] memory leaves) internal pure returns (bytes32) {
        return pair(pair(leafOf(1, leaves[0]), leafOf(2, leaves[1])), pair(leafOf(3, leaves[2]), leafOf(4, leaves[3])));
    }

    function proofOf(uint256[DEEDS] memory leaves, uint256 deed) internal pure returns (bytes32[] memory proof) {
        uint256 index = deed - 1;
        uint256 other = index < 2 ? 2 : 0;
        proof = new bytes32[](2);
        proof[0] = leafOf((index ^ 1) + 1, leaves[index ^ 1]);
        proof[1] = pair(leafOf(other + 1, leaves[other]), leafOf(other + 2, leaves[other + 1]));
    }

    function leafOf(uint256 deed, uint256 amount) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(deed, amount))));
    }

    function pair(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
    }

    function sum(uint256[DEEDS] memory values) internal pure returns (uint256 all) {
        for (uint256 i = 0; i < DEEDS; ++i) all += values[i];
    }
}
