// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

/// @title Node Deeds: ERC-721, numbered 1, 2, 3..., each with a fixed number of slots for devices.
interface INodeDeed is IERC721 {
    /// @notice Deeds are minted in order: `got` was asked for, `wanted` is the next.
    error WrongDeed(uint256 got, uint256 wanted);
    /// @notice A deed has at least one slot.
    error NoSlots(uint256 deed);

    /// @notice Deeds minted so far; the last one's number.
    function count() external view returns (uint256);

    /// @notice Slots of `deed`; 0 if there is no such deed.
    function slots(uint256 deed) external view returns (uint16);

    /// @notice How often `deed` got an owner: 1 when minted, one more at each transfer, also to the same owner.
    function transfers(uint256 deed) external view returns (uint128);

    /// @notice Create the next deed for `to`. Contract owner only; naming the deed makes a repeated call harmless.
    function mint(uint256 deed, address to, uint16 slots_) external;
}
