// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Council} from "../src/Council.sol";
import {R1} from "../src/R1.sol";
import {Settlement} from "../src/Settlement.sol";
import {Votes} from "../src/Votes.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Scene} from "./Scene.sol";
import {vm} from "./Vm.sol";

/// @title From R1 to a vote to what is governed, and what a vote cannot do.
contract CouncilTest is Scene {
    uint48 internal constant WAIT = 10;
    uint32 internal constant PERIOD = 100;
    uint256 internal constant LEAST_QUORUM = 400;
    uint256 internal constant LOCK = 2 days;

    Votes internal votes;
    Council internal council;

    function setUp() public {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        build();
        uint256 nonce = vm.getNonce(address(this));
        address timelock = vm.computeCreateAddress(vm.computeCreateAddress(address(this), nonce + 2), 1);
        settlement = new Settlement(deeds, addresses(oracles), 2, CAP, DELAY, GUARDIAN, timelock);
        r1 = R1(address(settlement.r1()));
        votes = new Votes(r1);
        council = new Council(votes, WAIT, PERIOD, 100, 20, LEAST_QUORUM, LOCK);
        require(council.timelock() == settlement.governor(), "governor");
        Leaves memory leaves;
        leaves.deeds = [uint256(1000), 500, 99, 0]; // owners 1, 2 and 0
        post(1, rootOf(leaves), totalOf(leaves), quorum());
        vm.warp(block.timestamp + DELAY);
        for (uint256 deed = 1; deed < DEEDS; ++deed) settlement.claim(deed, leaves.deeds[deed - 1], deedProof(leaves, deed));
        for (uint256 owner = 0; owner < OWNERS; ++owner) deposit(owner);
        vm.roll(block.number + 1);
    }

    function deposit(uint256 owner) internal {
        address who = ownerAddress(owner);
        uint256 all = r1.balanceOf(who);
        vm.prank(who);
        r1.approve(address(votes), all);
        vm.prank(who);
        votes.depositFor(who, all);
        vm.prank(who);
        votes.delegate(who);
    }

    function call(address target, bytes memory data)
        internal
        pure
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 why)
    {
        (targets, values, calls, why) = (new address[](1), new uint256[](1), new bytes[](1), keccak256("why"));
        (targets[0], calls[0]) = (target, data);
    }

    function propose(address target, bytes memory data) internal returns (uint256) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls, ) = call(target, data);
        vm.prank(ownerAddress(1));
        return council.propose(targets, values, calls, "why");
    }

    function decide(uint256 id, uint256 owner, uint8 support) internal {
        vm.roll(block.number + WAIT + 1);
        vm.prank(ownerAddress(owner));
        council.castVote(id, support);
        vm.roll(block.number + PERIOD + 1);
    }

    function carryOut(address target, bytes memory data) external {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 why) = call(target, data);
        council.queue(targets, values, calls, why);
        vm.warp(block.timestamp + LOCK);
        council.execute(targets, values, calls, why);
    }

    function test_a_vote_changes_what_is_governed_after_the_lock() public {
        bytes memory data = abi.encodeCall(settlement.govern, (7, 2 * DELAY, 3, GUARDIAN));
        uint256 id = propose(address(settlement), data);
        decide(id, 1, 1);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 why) = call(address(settlement), data);
        council.queue(targets, values, calls, why);
        uint256 start = block.timestamp;
        vm.warp(start + LOCK - 1);
        vm.expectPartialRevert(TimelockController.TimelockUnexpectedOperationState.selector);
        council.execute(targets, values, calls, why);
        require(settlement.epochCap() == CAP, "not before");
        vm.warp(start + LOCK);
        council.execute(targets, values, calls, why);
        require(settlement.epochCap() == 7 && settlement.delay() == 2 * DELAY && settlement.leastOracles() == 3, "governed");
    }

    function test_a_vote_without_quorum_or_against_changes_nothing() public {
        bytes memory data = abi.encodeCall(settlement.govern, (7, DELAY, 3, GUARDIAN));
        uint256 id = propose(address(settlement), data);
        decide(id, 0, 1); // 99 of 1599 are fewer than a fifth
        require(council.state(id) == IGovernor.ProposalState.Defeated, "no quorum");
        vm.expectPartialRevert(IGovernor.GovernorUnexpectedProposalState.selector);
        this.carryOut(address(settlement), data);
        data = abi.encodeCall(settlement.govern, (8, DELAY, 3, GUARDIAN));
        id = propose(address(settlement), data);
        decide(id, 1, 0);
        require(council.state(id) == IGovernor.ProposalState.Defeated && settlement.epochCap() == CAP, "against");
    }

    function test_a_share_of_few_votes_is_no_quorum() public {
        vm.prank(ownerAddress(1));
        votes.withdrawTo(ownerAddress(1), 750); // 250 are enough to propose
        vm.prank(ownerAddress(2));
        votes.withdrawTo(ownerAddress(2), 500);
        vm.roll(block.number + 1);
        bytes memory data = abi.encodeCall(settlement.govern, (7, DELAY, 3, GUARDIAN));
        uint256 id = propose(address(settlement), data);
        decide(id, 1, 1);
        require(council.quorum(block.number - 1) == LEAST_QUORUM, "of 349 votes a fifth would be 69");
        require(council.state(id) == IGovernor.ProposalState.Defeated, "250 of 400");
    }

    function test_who_has_too_few_votes_proposes_nothing() public {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls, ) = call(address(settlement), "");
        vm.prank(ownerAddress(0));
        vm.expectPartialRevert(IGovernor.GovernorInsufficientProposerVotes.selector);
        council.propose(targets, values, calls, "why");
    }

    function test_no_vote_goes_below_the_deployment_or_mints() public {
        bytes memory data = abi.encodeCall(settlement.govern, (CAP + 1, DELAY, 1, GUARDIAN));
        decide(propose(address(settlement), data), 1, 1);
        vm.expectPartialRevert(ISettlement.OutOfBounds.selector);
        this.carryOut(address(settlement), data);
        data = abi.encodeCall(r1.mint, (ownerAddress(1), 1));
        decide(propose(address(r1), data), 1, 1);
        vm.expectRevert();
        this.carryOut(address(r1), data);
        require(settlement.epochCap() == CAP && r1.totalSupply() == 1599, "nothing");
    }

    function test_nobody_but_the_council_commands_the_timelock() public {
        TimelockController timelock = TimelockController(payable(council.timelock()));
        bytes memory data = abi.encodeCall(settlement.govern, (7, DELAY, 3, GUARDIAN));
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        timelock.schedule(address(settlement), 0, data, 0, 0, LOCK);
        bytes32 admin = timelock.DEFAULT_ADMIN_ROLE();
        require(!timelock.hasRole(admin, address(this)) && !timelock.hasRole(admin, address(council)), "no admin");
        vm.prank(address(council));
        vm.expectPartialRevert(ISettlement.NotGovernor.selector);
        settlement.govern(7, DELAY, 3, GUARDIAN);
    }

    function test_votes_are_r1_again_at_any_time() public {
        address who = ownerAddress(1);
        vm.prank(who);
        votes.withdrawTo(who, 1000);
        require(r1.balanceOf(who) == 1000 && votes.getVotes(who) == 0 && votes.totalSupply() == 599, "back");
        require(r1.balanceOf(address(votes)) == votes.totalSupply(), "one for one");
    }
}
