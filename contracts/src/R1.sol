// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IR1} from "./interfaces/IR1.sol";

/// @dev The most R1 there can ever be, in wei.
uint256 constant R1_CAP = 161_803_398 ether;

/// @title R1: created by its settlement, which is its only minter for good.
contract R1 is IR1, ERC20Capped, ERC20Burnable, ERC20Permit {
    address public immutable minter = msg.sender;

    constructor() ERC20("Ratio1", "R1") ERC20Capped(R1_CAP) ERC20Permit("Ratio1") {}

    function mint(address to, uint256 amount) external {
        if (msg.sender != minter) revert NotMinter(msg.sender);
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override(ERC20, ERC20Capped) {
        super._update(from, to, amount);
    }
}
