// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {EscrowScene} from "./EscrowScene.sol";
import {Token} from "./Token.sol";
import {Tree} from "./Tree.sol";
import {vm} from "./Vm.sol";

/// @title Work of several deeds claimed at once: one owner is paid what claims one by one would pay, or nobody anything.
contract EscrowManyTest is EscrowScene {
    function setUp() public {
        vm.warp(1_800_000_000);
        buildEscrow();
    }

    /// @dev A job that begins at once, for any deed or for one.
    function running(uint128 cap, uint256 worker) internal returns (uint256 job) {
        job = open(0, 100, cap, 9, worker);
        pass(1);
    }

    /// @dev Deed d delivered units[d - 1]; deeds 1 and 4 are owner 1's, the others of one owner each.
    function attestAll(uint256 job, uint256[DEEDS] memory units) internal returns (bytes32[] memory work) {
        work = new bytes32[](DEEDS);
        for (uint256 i = 0; i < DEEDS; ++i) work[i] = workHash(job, i + 1, units[i]);
        attest(work);
    }

    function claimTwo(uint256 job, bytes32[] memory work, uint256[DEEDS] memory units, uint256 a, uint256 b) public {
        uint256[] memory chosen = new uint256[](2);
        (chosen[0], chosen[1]) = (a - 1, b - 1);
        (bytes32[] memory proof, bool[] memory flags) = Tree.multiproof(work, chosen);
        escrow.claimMany(job, two(a, units[a - 1], b, units[b - 1]), proof, flags);
    }

    function two(uint256 a, uint256 ofA, uint256 b, uint256 ofB) internal pure returns (IEscrow.Work[] memory works) {
        works = new IEscrow.Work[](2);
        (works[0], works[1]) = (IEscrow.Work(a, ofA), IEscrow.Work(b, ofB));
    }

    function some() internal pure returns (uint256[DEEDS] memory) {
        return [uint256(10), 3, 5, 20];
    }

    function test_an_owner_is_paid_at_once_what_claims_one_by_one_pay(uint32[2] memory first, uint32[2] memory more, uint64 price) public {
        uint128 price_ = uint128(price) + 1;
        uint256[DEEDS] memory units = [uint256(first[0]) + 1, 0, 0, uint256(first[1]) + 1];
        uint256 all = units[0] + units[3] + more[0] + more[1];
        token.give(buyer(0), all * price_);
        uint256 job = open(0, price_, uint128(all * price_), 9, 0);
        pass(1);
        claimTwo(job, attestAll(job, units), units, 1, 4);
        (units[0], units[3]) = (units[0] + more[0], units[3] + more[1]);
        bytes32[] memory work = attestAll(job, units);
        if (more[0] + uint256(more[1]) > 0) claimTwo(job, work, units, 1, 4);
        uint256 burned = (units[0] * price_ * 15) / 100 + (units[3] * price_ * 15) / 100;
        require(token.balanceOf(ownerAddress(1)) == all * price_ - burned, "owner");
        require(token.balanceOf(DEAD) == burned && token.balanceOf(address(escrow)) == 0, "burned");
        require(escrow.delivered(job, 1) == units[0] && escrow.delivered(job, 4) == units[3], "counted");
        require(escrow.jobOf(job).paid == all * price_, "paid");
    }

    function test_what_somebody_claimed_before_spoils_no_claim_of_many_and_is_paid_once() public {
        uint256 job = running(10_000, 0);
        bytes32[] memory work = attestAll(job, some());
        escrow.claim(job, 4, 20, Tree.proof(work, 3));
        claimTwo(job, work, some(), 1, 4);
        require(token.balanceOf(ownerAddress(1)) == 2_550 && escrow.jobOf(job).paid == 3_000, "once each");
        vm.expectPartialRevert(IEscrow.NoNewUnitsOfMany.selector);
        this.claimTwo(job, work, some(), 1, 4);
        vm.expectPartialRevert(IEscrow.NoNewUnits.selector);
        escrow.claim(job, 1, 10, Tree.proof(work, 0));
    }

    function test_a_work_named_twice_is_paid_once() public {
        uint256 job = running(10_000, 0);
        bytes32 leaf = workHash(job, 1, 10);
        bytes32[] memory work = new bytes32[](2);
        (work[0], work[1]) = (leaf, leaf);
        attest(work);
        bool[] memory flags = new bool[](1);
        flags[0] = true;
        escrow.claimMany(job, two(1, 10, 1, 10), new bytes32[](0), flags);
        require(token.balanceOf(ownerAddress(1)) == 850 && escrow.jobOf(job).paid == 1_000, "once");
    }

    function test_many_works_are_of_one_owner_and_of_the_root_in_force_only() public {
        uint256 job = running(10_000, 0);
        uint256 other = open(1, 100, 10_000, 9, 0);
        bytes32[] memory work = attestAll(job, some());
        vm.expectPartialRevert(IEscrow.OtherOwner.selector);
        this.claimTwo(job, work, some(), 1, 2);
        vm.expectPartialRevert(IEscrow.WrongProofOfWorks.selector);
        this.claimTwo(other, work, some(), 1, 4);
        uint256[DEEDS] memory more = some();
        more[3] = 21;
        vm.expectPartialRevert(IEscrow.WrongProofOfWorks.selector);
        this.claimTwo(job, work, more, 1, 4);
        bytes32[] memory root = new bytes32[](1);
        root[0] = settlement.root();
        vm.expectPartialRevert(IEscrow.NoNewUnitsOfMany.selector);
        escrow.claimMany(job, new IEscrow.Work[](0), root, new bool[](0));
        vm.expectPartialRevert(IEscrow.NoJob.selector);
        this.claimTwo(3, work, some(), 1, 4);
        require(escrow.jobOf(job).paid == 0 && token.balanceOf(address(escrow)) == 20_000, "nothing");
    }

    function test_a_batch_that_holds_one_bad_work_pays_nobody() public {
        uint256 job = running(2_900, 0);
        bytes32[] memory work = attestAll(job, some());
        vm.expectPartialRevert(IEscrow.ExceedsCap.selector); // 30 units, 29 are left
        this.claimTwo(job, work, some(), 1, 4);
        uint256 named = open(0, 100, 10_000, 9, 1);
        pass(1);
        work = attestAll(named, some());
        vm.expectPartialRevert(IEscrow.NotWorker.selector);
        this.claimTwo(named, work, some(), 1, 4);
        require(escrow.delivered(job, 1) == 0 && escrow.delivered(named, 1) == 0, "not counted");
        require(token.balanceOf(ownerAddress(1)) == 0 && token.balanceOf(address(escrow)) == 12_900, "nothing");
    }

    function test_a_closed_job_pays_no_batch() public {
        uint256 job = open(0, 100, 10_000, 1, 0);
        pass(1 + GRACE);
        bytes32[] memory work = attestAll(job, some());
        escrow.refund(job);
        vm.expectPartialRevert(IEscrow.JobIsClosed.selector);
        this.claimTwo(job, work, some(), 1, 4);
    }

    function test_a_token_that_calls_back_or_returns_false_gets_nothing_more() public {
        uint256 job = running(10_000, 0);
        bytes32[] memory work = attestAll(job, some());
        token.misbehave(Token.Fault.ReturnsFalse);
        vm.expectRevert();
        this.claimTwo(job, work, some(), 1, 4);
        require(escrow.delivered(job, 1) == 0 && escrow.jobOf(job).paid == 0, "nothing changed");
        token.misbehave(Token.Fault.None);
        bytes32[] memory none = new bytes32[](0);
        token.callBack(address(escrow), abi.encodeCall(escrow.claimMany, (job, new IEscrow.Work[](0), none, new bool[](0))));
        claimTwo(job, work, some(), 1, 4);
        require(token.refusal() == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "no way in");
        require(token.balanceOf(ownerAddress(1)) == 2_550, "once");
    }
}
