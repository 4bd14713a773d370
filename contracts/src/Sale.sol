// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Curves} from "./Curves.sol";
import {IBurnable} from "./interfaces/IBurnable.sol";
import {INodeDeed} from "./interfaces/INodeDeed.sol";
import {ISale} from "./interfaces/ISale.sol";

/// @title Sale of Node Deeds for R1; it must own the deeds' contract to create them.
contract Sale is ISale, Ownable {
    using SafeERC20 for IERC20;

    uint256 private constant MOST_AT_ONCE = 100;
    uint256 private constant BURNED_PERCENT = 20;
    uint256 private constant LIQUIDITY_PERCENT = 50;

    INodeDeed public immutable deeds;
    IERC20 public immutable r1;
    uint16 public immutable slots;
    address public immutable liquidity;
    address public immutable company;

    uint256 public weiPerDollar;
    uint256 public sold;

    constructor(
        INodeDeed deeds_,
        IERC20 r1_,
        uint16 slots_,
        address liquidity_,
        address company_,
        address governor
    ) Ownable(governor) {
        (deeds, r1, slots, liquidity, company) = (deeds_, r1_, slots_, liquidity_, company_);
    }

    function priceOf(uint256 count) public view returns (uint256) {
        return Curves.cost(sold, count) * weiPerDollar;
    }

    function setRate(uint256 weiPerDollar_) external onlyOwner {
        weiPerDollar = weiPerDollar_;
        emit RateSet(weiPerDollar_);
    }

    function buy(uint256 count, uint256 most) external {
        if (weiPerDollar == 0) revert NotOnSale();
        if (count == 0 || count > MOST_AT_ONCE) revert WrongCount(count, MOST_AT_ONCE);
        uint256 price = priceOf(count);
        if (price > most) revert TooExpensive(price, most);
        uint256 burned = (price * BURNED_PERCENT) / 100;
        uint256 pooled = (price * LIQUIDITY_PERCENT) / 100;
        sold += count;
        emit Sold(msg.sender, count, price, burned);
        r1.safeTransferFrom(msg.sender, address(this), burned);
        r1.safeTransferFrom(msg.sender, liquidity, pooled);
        r1.safeTransferFrom(msg.sender, company, price - burned - pooled);
        IBurnable(address(r1)).burn(burned);
        uint256 deed = deeds.count();
        for (uint256 i = 1; i <= count; ++i) deeds.mint(deed + i, msg.sender, slots);
    }
}
