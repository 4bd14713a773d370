// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

/// @title Master Node Deeds: ERC-721, numbered 1, 2, 3..., each with the R1 that it earns in all. None can be moved.
interface IMasterDeed is IERC721 {
    /// @notice Deeds are minted in order: `got` was asked for, `wanted` is the next.
    error WrongDeed(uint256 got, uint256 wanted);
    /// @notice `got` wei are nothing, or more than the `left` wei of the pool.
    error WrongAmount(uint256 got, uint256 left);
    /// @notice `deed` stays with whom it was given to.
    error Soulbound(uint256 deed);

    /// @notice Wei that all deeds may be assigned.
    function pool() external view returns (uint256);

    /// @notice Wei that all deeds are assigned.
    function assigned() external view returns (uint256);

    /// @notice Wei that `deed` earns in all, at most; 0 if there is no such deed.
    function assignedTo(uint256 deed) external view returns (uint256);

    /// @notice Deeds minted so far; the last one's number.
    function count() external view returns (uint256);

    /// @notice Create the next deed for `to`, which is to earn `amount` wei in all. Contract owner only.
    function mint(uint256 deed, address to, uint256 amount) external;

    /// @notice What `deed` earns in its epoch 0 to 900 by Curves.masterReward.
    /// @param adopted Adoption of the network in 1e18 (Curves.adoption).
    /// @param earned Wei that it has earned before.
    function rewardOf(
        uint256 deed,
        uint256 epoch,
        uint256 availability,
        uint256 adopted,
        uint256 earned
    ) external view returns (uint256);
}
