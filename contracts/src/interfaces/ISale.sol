// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {INodeDeed} from "./INodeDeed.sol";

/// @title Node Deeds for R1, at Ratio1's price in US dollars of the tier that is reached (Curves.cost).
/// @notice Of the price 20 % is burned, 50 % goes to liquidity and the rest to the company. The owner (governance) says how much R1 a
/// dollar is; buyers name the most they pay, so that no rate surprises them. Without a rate nothing is sold.
interface ISale {
    event RateSet(uint256 weiPerDollar);
    event Sold(address indexed buyer, uint256 count, uint256 price, uint256 burned);

    /// @notice There is no rate.
    error NotOnSale();
    /// @notice `got` deeds were asked for; 1 to `most` are sold at once.
    error WrongCount(uint256 got, uint256 most);
    /// @notice The price is `price` wei, the buyer pays at most `most`.
    error TooExpensive(uint256 price, uint256 most);

    function deeds() external view returns (INodeDeed);
    function r1() external view returns (IERC20);

    /// @notice Slots of each deed sold here.
    function slots() external view returns (uint16);
    function liquidity() external view returns (address);
    function company() external view returns (address);

    /// @notice Wei of R1 for one US dollar; 0 while nothing is sold.
    function weiPerDollar() external view returns (uint256);

    /// @notice Deeds sold here so far, which says the tier.
    function sold() external view returns (uint256);

    /// @notice Wei of R1 that the next `count` deeds cost.
    function priceOf(uint256 count) external view returns (uint256);

    /// @notice Set the rate. Owner only.
    function setRate(uint256 weiPerDollar_) external;

    /// @notice Buy the next `count` deeds, for at most `most` wei of R1 that the sender has approved.
    function buy(uint256 count, uint256 most) external;
}
