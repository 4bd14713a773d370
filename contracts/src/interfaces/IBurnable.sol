// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title A token whose holders may destroy what they hold.
interface IBurnable {
    function burn(uint256 amount) external;
}
