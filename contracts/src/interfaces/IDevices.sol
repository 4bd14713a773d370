// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {INodeDeed} from "./INodeDeed.sol";

/// @title Which device fills a slot of which deed.
/// @notice A device is bound by two EIP-712 signatures over the same `Binding`, its own and its deed's owner's; anyone may
/// bring them. A device has one deed at most, a deed as many devices as slots. A transfer of the deed unlinks all of
/// its devices: a binding counts only while the deed's `transfers` is what it was when the binding was made, so nothing has to
/// be walked or called back, and a deed that returns to an owner does not bring old bindings with it.
interface IDevices {
    /// @notice A deed as the oracles need it.
    struct Deed {
        uint256 deed;
        address owner;
        uint16 slots;
        address[] devices;
    }

    event Bound(uint256 indexed deed, address indexed device, address indexed owner, bytes32 board);
    event Released(uint256 indexed deed, address indexed device);

    /// @notice The signatures were good until `deadline` (seconds since 1970), which is over.
    error Expired(uint256 deadline);
    /// @notice The signature that should be of `signer` is not, or is over other values.
    error WrongSignature(address signer);
    /// @notice `device` is bound to `deed` already.
    error AlreadyBound(address device, uint256 deed);
    /// @notice All `slots` of `deed` are taken.
    error SlotsTaken(uint256 deed, uint256 slots);
    /// @notice `device` is bound to no deed.
    error NotBound(address device);
    /// @notice `device` was bound to a deed before and cools down until `until` (seconds since 1970).
    error CoolsDown(address device, uint256 until);
    /// @notice `caller` does not own `deed`.
    error NotOwner(address caller, uint256 deed);

    /// @notice The deeds whose slots are filled here.
    function deeds() external view returns (INodeDeed);

    /// @notice Seconds from a device's binding until it may be bound again. Counted from the binding, which the device's owner signed, and not
    /// from leaving: a deed's next owner moves that deed as often as it likes, and must not hold back devices that were on it.
    function coolDown() external view returns (uint256);

    /// @notice The nonce that the next binding of `device` must carry.
    function nonces(address device) external view returns (uint256);

    /// @notice The deed of `device`; 0 if it is bound to none, or was unlinked by a transfer.
    function deedOf(address device) external view returns (uint256);

    /// @notice Deeds `first` to `last`, both included and cut at the number of deeds, with the devices bound now. For eth_call.
    function bindings(uint256 first, uint256 last) external view returns (Deed[] memory);

    /// @notice Bind `device` to `deed`.
    /// @param board The board's name, ASCII, right-padded with zeros.
    /// @param ownerSignature Of the deed's owner over Binding(deed, device, owner, board, nonce, deadline); ERC-1271 if a contract.
    /// @param deviceSignature Of the device over the same.
    function bind(
        uint256 deed,
        address device,
        bytes32 board,
        uint256 deadline,
        bytes calldata ownerSignature,
        bytes calldata deviceSignature
    ) external;

    /// @notice Free the slot of `device`. Only the owner of its deed.
    function release(address device) external;
}
