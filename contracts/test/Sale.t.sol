// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Curves} from "../src/Curves.sol";
import {MasterDeed} from "../src/MasterDeed.sol";
import {NodeDeed} from "../src/NodeDeed.sol";
import {Sale} from "../src/Sale.sol";
import {IMasterDeed} from "../src/interfaces/IMasterDeed.sol";
import {ISale} from "../src/interfaces/ISale.sol";
import {Scene} from "./Scene.sol";
import {vm} from "./Vm.sol";

/// @title The sale of Node Deeds, Master Node Deeds that stay, and Curves as functions that can be called.
contract SaleTest is Scene {
    address internal constant LIQUIDITY = address(0x11);
    address internal constant COMPANY = address(0xC0);
    uint256 internal constant RATE = 3 ether + 1;
    uint256 internal constant FUNDS = 900_000 ether;

    Sale internal sale;
    NodeDeed internal sold;

    function setUp() public {
        vm.warp(1_800_000_000);
        build();
        Leaves memory leaves;
        leaves.deeds[0] = FUNDS;
        post(1, rootOf(leaves), FUNDS, quorum());
        vm.warp(block.timestamp + DELAY);
        settlement.claim(1, FUNDS, deedProof(leaves, 1));
        sold = new NodeDeed(address(this));
        sale = new Sale(sold, r1, 4, LIQUIDITY, COMPANY, GOVERNOR);
        sold.transferOwnership(address(sale));
        vm.prank(ownerAddress(1));
        r1.approve(address(sale), type(uint256).max);
    }

    function setRate(uint256 rate) internal {
        vm.prank(GOVERNOR);
        sale.setRate(rate);
    }

    function buy(uint256 count, uint256 most) internal {
        vm.prank(ownerAddress(1));
        sale.buy(count, most);
    }

    function test_of_a_price_a_fifth_is_burned_half_goes_to_liquidity_and_the_rest_to_the_company() public {
        setRate(RATE);
        uint256 price = 100 * 500 * RATE - 11 * 500 * RATE + 11 * 750 * RATE; // 89 deeds of the first tier
        buy(100, price);
        uint256 burned = (price * 20) / 100;
        require(r1.totalSupply() == FUNDS - burned, "burned");
        require(r1.balanceOf(LIQUIDITY) == price / 2 && r1.balanceOf(COMPANY) == price - burned - price / 2, "shares");
        require(r1.balanceOf(ownerAddress(1)) == FUNDS - price && r1.balanceOf(address(sale)) == 0, "price");
        require(sold.count() == 100 && sold.ownerOf(100) == ownerAddress(1) && sold.slots(100) == 4, "deeds");
        require(sale.sold() == 100 && sale.priceOf(1) == 750 * RATE, "next");
    }

    function test_nothing_is_sold_for_more_than_the_buyer_named() public {
        setRate(RATE);
        vm.expectPartialRevert(ISale.TooExpensive.selector);
        this.tryBuy(1, 500 * RATE - 1);
        setRate(2 * RATE);
        vm.expectPartialRevert(ISale.TooExpensive.selector);
        this.tryBuy(1, 500 * RATE);
        require(sold.count() == 0 && r1.balanceOf(ownerAddress(1)) == FUNDS, "nothing");
    }

    function test_without_a_rate_or_in_a_wrong_number_nothing_is_sold() public {
        vm.expectPartialRevert(ISale.NotOnSale.selector);
        this.tryBuy(1, FUNDS);
        setRate(RATE);
        vm.expectPartialRevert(ISale.WrongCount.selector);
        this.tryBuy(0, FUNDS);
        vm.expectPartialRevert(ISale.WrongCount.selector);
        this.tryBuy(101, FUNDS);
        vm.expectPartialRevert(Ownable.OwnableUnauthorizedAccount.selector);
        sale.setRate(1);
        require(sold.count() == 0 && sale.weiPerDollar() == RATE, "nothing");
    }

    function tryBuy(uint256 count, uint256 most) external {
        buy(count, most);
    }

    function test_a_master_deed_stays_with_whom_it_was_given_to() public {
        MasterDeed masters = new MasterDeed(address(this), 1000);
        masters.mint(1, ownerAddress(0), 600);
        vm.prank(ownerAddress(0));
        vm.expectPartialRevert(IMasterDeed.Soulbound.selector);
        masters.transferFrom(ownerAddress(0), ownerAddress(1), 1);
        vm.expectPartialRevert(IMasterDeed.WrongDeed.selector);
        masters.mint(3, ownerAddress(0), 1);
        vm.expectPartialRevert(IMasterDeed.WrongAmount.selector);
        masters.mint(2, ownerAddress(0), 401);
        vm.expectPartialRevert(IMasterDeed.WrongAmount.selector);
        masters.mint(2, ownerAddress(0), 0);
        vm.prank(ownerAddress(0));
        vm.expectPartialRevert(Ownable.OwnableUnauthorizedAccount.selector);
        masters.mint(2, ownerAddress(0), 400);
        masters.mint(2, ownerAddress(1), 400);
        require(masters.ownerOf(1) == ownerAddress(0) && masters.assigned() == 1000 && masters.count() == 2, "two");
        require(masters.rewardOf(2, 630, 255, 1e18, 0) == Curves.masterReward(400, 630, 255, 1e18, 0), "reward");
        vm.expectRevert();
        masters.rewardOf(3, 630, 255, 1e18, 0);
    }

    function test_a_curve_takes_nothing_that_is_out_of_range() public {
        outOfRange(abi.encodeCall(this.nodeReward, (256, 0)));
        outOfRange(abi.encodeCall(this.masterReward, (1, 1, 256, 1, 0)));
        outOfRange(abi.encodeCall(this.masterReward, (1, 1, 1, 1e18 + 1, 0)));
        outOfRange(abi.encodeCall(this.masterReward, (161_803_398 ether + 1, 1, 1, 1, 0)));
        outOfRange(abi.encodeCall(this.logistic, (901)));
        outOfRange(abi.encodeCall(this.adoption, (46_225, 0)));
        outOfRange(abi.encodeCall(this.cost, (0, 46_225)));
        outOfRange(abi.encodeCall(this.cost, (46_224, 1)));
        require(this.masterReward(161_803_398 ether, 900, 255, 1e18, 0) > 0, "the most that is in range");
    }

    function outOfRange(bytes memory call) internal {
        (bool done, bytes memory said) = address(this).call(call);
        require(!done && bytes4(said) == Curves.OutOfRange.selector, "not refused by name");
    }

    function nodeReward(uint256 availability, uint256 earned) external pure returns (uint256) {
        return Curves.nodeReward(availability, earned);
    }

    function masterReward(uint256 a, uint256 x, uint256 v, uint256 adopted, uint256 earned) external pure returns (uint256) {
        return Curves.masterReward(a, x, v, adopted, earned);
    }

    function logistic(uint256 epoch) external pure returns (uint256) {
        return Curves.logistic(epoch);
    }

    function adoption(uint256 sold_, uint256 usdc) external pure returns (uint256) {
        return Curves.adoption(sold_, usdc);
    }

    function cost(uint256 sold_, uint256 count) external pure returns (uint256) {
        return Curves.cost(sold_, count);
    }
}
