// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDevices} from "../src/interfaces/IDevices.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Settlement} from "../src/Settlement.sol";
import {Scene} from "./Scene.sol";
import {vm} from "./Vm.sol";

/// @title Roots, delay, veto, rotation, claims and cool-down, with values that forge draws.
contract SettlementTest is Scene {
    function setUp() public {
        vm.warp(1_800_000_000);
        build();
    }

    function test_a_root_pays_nobody_before_its_delay_is_over(uint64 early) public {
        uint256[DEEDS] memory leaves = [uint256(5), 6, 7, 8];
        post(1, treeRoot(leaves), sum(leaves), quorum());
        uint256 start = block.timestamp;
        vm.warp(start + (early % DELAY));
        vm.expectPartialRevert(ISettlement.WrongProof.selector);
        settlement.claim(1, 5, proofOf(leaves, 1));
        vm.warp(start + DELAY);
        settlement.claim(1, 5, proofOf(leaves, 1));
        require(r1.balanceOf(ownerAddress(1)) == 5, "paid");
    }

    function test_while_a_root_waits_the_one_before_it_pays() public {
        uint256[DEEDS] memory first = [uint256(5), 6, 7, 8];
        uint256[DEEDS] memory second = [uint256(50), 60, 70, 80];
        post(1, treeRoot(first), sum(first), quorum());
        vm.warp(block.timestamp + DELAY);
        post(2, treeRoot(second), sum(second), quorum());
        settlement.claim(2, 6, proofOf(first, 2));
        vm.expectPartialRevert(ISettlement.WrongProof.selector);
        settlement.claim(2, 60, proofOf(second, 2));
        vm.warp(block.timestamp + DELAY);
        settlement.claim(2, 60, proofOf(second, 2));
        require(settlement.claimed(2) == 60 && settlement.minted() == 60, "once");
    }

    function test_no_root_is_posted_while_one_waits() public {
        post(1, bytes32(0), 0, quorum());
        bytes[] memory signatures = signedByOracles(rootStruct(2, bytes32(0), 0), quorum());
        vm.expectPartialRevert(ISettlement.NotActive.selector);
        settlement.post(2, bytes32(0), 0, EVIDENCE, signatures);
    }

    function test_the_guardian_takes_back_a_root_that_waits_and_nothing_else() public {
        uint256[DEEDS] memory leaves = [uint256(5), 6, 7, 8];
        post(1, treeRoot(leaves), sum(leaves), quorum());
        vm.expectPartialRevert(ISettlement.NotGuardian.selector);
        settlement.veto(1);
        vm.prank(GUARDIAN);
        vm.expectPartialRevert(ISettlement.WrongEpoch.selector);
        settlement.veto(2);
        vm.prank(GUARDIAN);
        settlement.veto(1);
        require(settlement.epoch() == 0 && settlement.activeAt() == 0, "taken back");
        vm.prank(GUARDIAN);
        vm.expectPartialRevert(ISettlement.IsActive.selector);
        settlement.veto(0);
        post(1, treeRoot(leaves), sum(leaves), quorum());
        vm.warp(block.timestamp + DELAY);
        vm.prank(GUARDIAN);
        vm.expectPartialRevert(ISettlement.IsActive.selector);
        settlement.veto(1);
        settlement.claim(1, 5, proofOf(leaves, 1));
    }

    function test_a_veto_leaves_the_root_before_in_force() public {
        uint256[DEEDS] memory first = [uint256(5), 6, 7, 8];
        post(1, treeRoot(first), sum(first), quorum());
        vm.warp(block.timestamp + DELAY);
        post(2, bytes32(uint256(1)), 99, quorum());
        vm.prank(GUARDIAN);
        settlement.veto(2);
        require(settlement.epoch() == 1 && settlement.total() == sum(first), "the first");
        settlement.claim(3, 7, proofOf(first, 3));
        post(2, treeRoot(first), sum(first), quorum());
        require(settlement.epoch() == 2, "posted anew");
    }

    function test_oracles_are_replaced_by_a_quorum_of_those_before(uint8 count, uint8 surplus) public {
        uint256[] memory next = oracleKeys(100, 1 + (count % 7));
        uint256 threshold = next.length / 2 + 1 + (surplus % (next.length - next.length / 2));
        if (threshold > next.length) threshold = next.length;
        bytes32 struct_ = oraclesStruct(2, next, threshold);
        bytes[] memory few = signedByOracles(struct_, 1);
        bytes[] memory enough = signedByOracles(struct_, 2);
        vm.expectPartialRevert(ISettlement.TooFewSignatures.selector);
        settlement.rotate(addresses(next), threshold, few);
        settlement.rotate(addresses(next), threshold, enough);
        require(settlement.threshold() == threshold && !settlement.isOracle(vm.addr(oracles[0])), "replaced");
        vm.expectRevert();
        settlement.rotate(addresses(next), threshold, enough);
        bytes[] memory old = signedByOracles(rootStruct(1, bytes32(0), 0), 3);
        vm.expectRevert();
        settlement.post(1, bytes32(0), 0, EVIDENCE, old);
        oracles = next;
        post(1, bytes32(0), 0, threshold);
    }

    function test_a_rotation_follows_a_rotation_and_none_is_played_again() public {
        uint256[] memory second = oracleKeys(100, 3);
        uint256[] memory third = oracleKeys(200, 3);
        settlement.rotate(addresses(second), 2, signedByOracles(oraclesStruct(2, second, 2), 2));
        oracles = second;
        bytes[] memory again = signedByOracles(oraclesStruct(2, third, 2), 2);
        vm.expectRevert();
        settlement.rotate(addresses(third), 2, again);
        settlement.rotate(addresses(third), 2, signedByOracles(oraclesStruct(3, third, 2), 2));
        require(settlement.oraclesNumber() == 3 && settlement.isOracle(vm.addr(third[0])), "third");
    }

    function test_no_appointment_lets_two_quorums_be_apart(uint8 count, uint8 threshold) public {
        uint256[] memory next = oracleKeys(100, count % 8);
        vm.assume(threshold > next.length || 2 * uint256(threshold) <= next.length);
        bytes[] memory signatures = signedByOracles(oraclesStruct(2, next, threshold), 2);
        vm.expectPartialRevert(ISettlement.WrongOracles.selector);
        settlement.rotate(addresses(next), threshold, signatures);
    }

    function test_an_oracle_named_twice_or_nobody_is_not_appointed() public {
        uint256[] memory next = oracleKeys(100, 3);
        next[1] = next[0];
        bytes[] memory signatures = signedByOracles(oraclesStruct(2, next, 2), 2);
        vm.expectPartialRevert(ISettlement.WrongOracles.selector);
        settlement.rotate(addresses(next), 2, signatures);
        address[] memory nobody = new address[](1);
        vm.expectPartialRevert(ISettlement.WrongOracles.selector);
        new Settlement(deeds, nobody, 1, CAP, DELAY, GUARDIAN, GOVERNOR);
    }

    function test_any_amounts_are_paid_in_full_in_any_order(uint64[4] memory amounts, uint256 order) public {
        uint256[DEEDS] memory leaves;
        for (uint256 i = 0; i < DEEDS; ++i) leaves[i] = amounts[i];
        post(1, treeRoot(leaves), sum(leaves), quorum());
        vm.warp(block.timestamp + DELAY);
        for (uint256 i = 0; i < DEEDS; ++i) {
            uint256 deed = (((order % DEEDS) + i * 3) % DEEDS) + 1;
            if (leaves[deed - 1] > 0) settlement.claim(deed, leaves[deed - 1], proofOf(leaves, deed));
        }
        require(settlement.minted() == sum(leaves) && r1.totalSupply() == sum(leaves), "all of it");
    }

    function test_burned_r1_is_not_minted_again() public {
        uint256[DEEDS] memory leaves = [uint256(5), 6, 7, 8];
        post(1, treeRoot(leaves), sum(leaves), quorum());
        vm.warp(block.timestamp + DELAY);
        settlement.claim(1, 5, proofOf(leaves, 1));
        vm.prank(ownerAddress(1));
        r1.burn(5);
        vm.expectPartialRevert(ISettlement.NothingToClaim.selector);
        settlement.claim(1, 5, proofOf(leaves, 1));
        require(settlement.minted() == 5 && r1.totalSupply() == 0, "burned");
    }

    function test_a_device_is_not_bound_again_before_its_cool_down_is_over(uint64 early, bool byTransfer) public {
        uint256 start = block.timestamp;
        bind(1, 0, 1);
        leave(byTransfer);
        vm.warp(start + (early % COOL_DOWN));
        (uint256 deed, uint256 owner) = byTransfer ? (uint256(1), uint256(0)) : (uint256(4), uint256(1));
        vm.expectPartialRevert(IDevices.CoolsDown.selector);
        this.tryBind(deed, owner);
        vm.warp(start + COOL_DOWN);
        bind(deed, 0, owner);
        require(devices.deedOf(deviceAddress(0)) == deed, "bound");
    }

    function test_a_deeds_next_owner_cannot_hold_back_devices_that_were_on_it() public {
        uint256 start = block.timestamp;
        bind(1, 0, 1);
        leave(true);
        vm.warp(start + COOL_DOWN);
        vm.prank(ownerAddress(0));
        deeds.transferFrom(ownerAddress(0), ownerAddress(0), 1);
        bind(4, 0, 1);
        require(devices.deedOf(deviceAddress(0)) == 4, "bound to its owner's other deed");
    }

    /// @dev From outside, so that forge sees the revert of the contract and not of a call before it.
    function tryBind(uint256 deed, uint256 owner) external {
        bind(deed, 0, owner);
    }

    function leave(bool byTransfer) internal {
        vm.prank(ownerAddress(1));
        if (byTransfer) deeds.transferFrom(ownerAddress(1), ownerAddress(0), 1);
        else devices.release(deviceAddress(0));
    }
}
