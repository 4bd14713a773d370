// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title R1, the token in which deeds are paid: an ERC-20 that only its settlement mints, up to a fixed cap.
/// @notice Its holders may burn it (ERC20Burnable) and approve by signature (ERC-2612).
interface IR1 is IERC20 {
    /// @notice `caller` is not the minter.
    error NotMinter(address caller);

    /// @notice The settlement contract, which created this token; it never changes.
    function minter() external view returns (address);

    /// @notice Create `amount` wei of R1 for `to`. Minter only.
    /// @dev Reverts with ERC20ExceededCap beyond 161,803,398 R1.
    function mint(address to, uint256 amount) external;
}
