// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IDevices} from "./interfaces/IDevices.sol";
import {INodeDeed} from "./interfaces/INodeDeed.sol";

/// @title Bindings of devices to deeds.
contract Devices is IDevices, EIP712 {
    using EnumerableSet for EnumerableSet.AddressSet;

    struct Place {
        uint64 deed;
        uint64 boundAt;
        uint128 transfers;
    }

    bytes32 private constant BINDING =
        keccak256(
            "Binding(uint256 deed,address device,address owner,bytes32 board,uint256 nonce,uint256 deadline)"
        );

    INodeDeed public immutable deeds;
    uint256 public immutable coolDown;
    mapping(address device => uint256) public nonces;
    mapping(address device => Place) private _places;
    mapping(uint256 deed => mapping(uint256 transfers => EnumerableSet.AddressSet)) private _devices;

    constructor(INodeDeed deeds_, uint256 coolDown_) EIP712("tinyren Devices", "1") {
        deeds = deeds_;
        coolDown = coolDown_;
    }

    function deedOf(address device) public view returns (uint256) {
        Place memory place = _places[device];
        return place.transfers == deeds.transfers(place.deed) ? place.deed : 0;
    }

    function bindings(uint256 first, uint256 last) external view returns (Deed[] memory page) {
        uint256 count = deeds.count();
        if (last > count) last = count;
        page = new Deed[](last < first ? 0 : last - first + 1);
        for (uint256 i = 0; i < page.length; ++i) {
            uint256 deed = first + i;
            page[i] = Deed(deed, deeds.ownerOf(deed), deeds.slots(deed), _bound(deed).values());
        }
    }

    function bind(
        uint256 deed,
        address device,
        bytes32 board,
        uint256 deadline,
        bytes calldata ownerSignature,
        bytes calldata deviceSignature
    ) external {
        if (block.timestamp > deadline) revert Expired(deadline);
        address owner = deeds.ownerOf(deed);
        bytes32 digest = _digest(deed, device, owner, board, deadline);
        if (!SignatureChecker.isValidSignatureNow(owner, digest, ownerSignature)) revert WrongSignature(owner);
        (address signer, ECDSA.RecoverError failure, ) = ECDSA.tryRecover(digest, deviceSignature);
        if (failure != ECDSA.RecoverError.NoError || signer != device) revert WrongSignature(device);
        _fill(deed, device);
        emit Bound(deed, device, owner, board);
    }

    function release(address device) external {
        uint256 deed = deedOf(device);
        if (deed == 0) revert NotBound(device);
        if (msg.sender != deeds.ownerOf(deed)) revert NotOwner(msg.sender, deed);
        _bound(deed).remove(device);
        (_places[device].deed, _places[device].transfers) = (0, 0);
        emit Released(deed, device);
    }

    function _digest(
        uint256 deed,
        address device,
        address owner,
        bytes32 board,
        uint256 deadline
    ) private returns (bytes32) {
        uint256 nonce = nonces[device]++;
        return _hashTypedDataV4(keccak256(abi.encode(BINDING, deed, device, owner, board, nonce, deadline)));
    }

    function _fill(uint256 deed, address device) private {
        uint256 other = deedOf(device);
        if (other != 0) revert AlreadyBound(device, other);
        uint256 boundAt = _places[device].boundAt;
        if (boundAt != 0 && block.timestamp < boundAt + coolDown) revert CoolsDown(device, boundAt + coolDown);
        EnumerableSet.AddressSet storage bound = _bound(deed);
        uint256 slots = deeds.slots(deed);
        if (bound.length() >= slots) revert SlotsTaken(deed, slots);
        bound.add(device);
        _places[device] = Place(uint64(deed), uint64(block.timestamp), deeds.transfers(deed));
    }

    function _bound(uint256 deed) private view returns (EnumerableSet.AddressSet storage) {
        return _devices[deed][deeds.transfers(deed)];
    }
}
