// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Escrow} from "../src/Escrow.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {EscrowScene} from "./EscrowScene.sol";
import {Token} from "./Token.sol";
import {Tree} from "./Tree.sol";
import {vm} from "./Vm.sol";

/// @title Jobs: what is paid, burned and refunded, and what is refused.
contract EscrowTest is EscrowScene {
    bytes4 private constant AGAIN = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;

    function setUp() public {
        vm.warp(1_800_000_000);
        buildEscrow();
    }

    function test_units_are_paid_85_to_15_however_often_they_are_claimed(uint64 price, uint32 a, uint32 b, bool atOnce) public {
        uint128 price_ = uint128(price) + 1;
        (uint256 first, uint256 second) = (uint256(a) + 1, uint256(a) + uint256(b) + 2);
        token.give(buyer(0), second * price_);
        uint256 job = open(0, price_, uint128(second * price_), 9, 0);
        pass(1);
        if (!atOnce) deliver(job, 1, first);
        deliver(job, 1, second);
        uint256 burned = (second * price_ * 15) / 100;
        require(token.balanceOf(ownerAddress(1)) == second * price_ - burned, "worker");
        require(token.balanceOf(DEAD) == burned && token.balanceOf(address(escrow)) == 0, "burned");
        require(escrow.jobOf(job).paid == second * price_ && escrow.delivered(job, 1) == second, "counted");
    }

    function test_each_deed_of_a_job_is_paid_its_own_units_to_its_owner_of_now() public {
        uint256 job = open(0, 100, 10_000, 9, 0);
        pass(1);
        bytes32[] memory work = new bytes32[](3);
        (work[0], work[1], work[2]) = (workHash(job, 1, 10), workHash(job, 2, 20), workHash(job, 3, 30));
        attest(work);
        vm.prank(ownerAddress(2));
        deeds.transferFrom(ownerAddress(2), ownerAddress(0), 2);
        for (uint256 i = 0; i < 3; ++i) escrow.claim(job, i + 1, 10 * (i + 1), Tree.proof(work, i));
        require(token.balanceOf(ownerAddress(1)) == 850 && token.balanceOf(ownerAddress(0)) == 1700 + 2550, "owners");
        require(token.balanceOf(DEAD) == 900 && token.balanceOf(address(escrow)) == 4000, "rest");
    }

    function test_r1_itself_is_burned() public {
        Leaves memory leaves;
        leaves.deeds[0] = 1000;
        post(1, rootOf(leaves), 1000, quorum());
        vm.warp(block.timestamp + DELAY);
        settlement.claim(1, 1000, deedProof(leaves, 1));
        escrow = new Escrow(settlement, r1, GRACE, PATIENCE);
        vm.prank(ownerAddress(1));
        r1.approve(address(escrow), 1000);
        vm.prank(ownerAddress(1));
        uint256 job = escrow.open(MODEL, true, 10, 1000, 5, new uint256[](0));
        pass(1);
        deliver(job, 2, 100);
        require(r1.balanceOf(ownerAddress(2)) == 850 && r1.totalSupply() == 850, "150 are gone");
    }

    function test_nothing_is_paid_twice_or_for_fewer_units() public {
        uint256 job = open(0, 100, 10_000, 9, 0);
        pass(1);
        deliver(job, 1, 10);
        vm.expectPartialRevert(IEscrow.NoNewUnits.selector);
        escrow.claim(job, 1, 10, new bytes32[](0));
        attestOne(job, 1, 9);
        vm.expectPartialRevert(IEscrow.NoNewUnits.selector);
        escrow.claim(job, 1, 9, new bytes32[](0));
        require(token.balanceOf(ownerAddress(1)) == 850, "once");
    }

    function test_a_proof_fits_its_own_escrow_job_deed_and_units_only() public {
        uint256 job = open(0, 100, 10_000, 9, 0);
        uint256 other = open(1, 100, 10_000, 9, 0);
        pass(1);
        attestOne(job, 1, 10);
        wrong(escrow, other, 1, 10);
        wrong(escrow, job, 2, 10);
        wrong(escrow, job, 1, 11);
        Escrow second = new Escrow(settlement, IERC20(address(token)), GRACE, PATIENCE);
        vm.prank(buyer(0));
        token.approve(address(second), 10_000);
        vm.prank(buyer(0));
        second.open(MODEL, false, 100, 10_000, 9, new uint256[](0));
        wrong(second, job, 1, 10);
        pass(1);
        wrong(escrow, job, 1, 10);
        require(token.balanceOf(ownerAddress(1)) == 0, "nothing");
    }

    function wrong(Escrow at, uint256 job, uint256 deed, uint256 units) internal {
        vm.expectPartialRevert(IEscrow.WrongWorkProof.selector);
        at.claim(job, deed, units, new bytes32[](0));
    }

    function test_work_of_a_deed_that_the_job_is_not_for_is_not_paid() public {
        uint256 job = open(0, 100, 10_000, 9, 2);
        pass(1);
        attestOne(job, 1, 10);
        vm.expectPartialRevert(IEscrow.NotWorker.selector);
        escrow.claim(job, 1, 10, new bytes32[](0));
        deliver(job, 2, 10);
        require(token.balanceOf(ownerAddress(2)) == 850 && !escrow.isWorker(job, 1), "its worker");
    }

    function test_no_more_is_paid_than_was_deposited() public {
        uint256 job = open(0, 100, 1_050, 9, 0);
        open(1, 100, 10_000, 9, 0);
        pass(1);
        attestOne(job, 1, 11);
        vm.expectPartialRevert(IEscrow.ExceedsCap.selector);
        escrow.claim(job, 1, 11, new bytes32[](0));
        attestOne(job, 1, type(uint256).max);
        vm.expectPartialRevert(IEscrow.ExceedsCap.selector);
        escrow.claim(job, 1, type(uint256).max, new bytes32[](0));
        deliver(job, 1, 6);
        attestOne(job, 2, 5);
        vm.expectPartialRevert(IEscrow.ExceedsCap.selector);
        escrow.claim(job, 2, 5, new bytes32[](0));
        require(token.balanceOf(address(escrow)) == 450 + 10_000, "the other job's");
    }

    function test_the_rest_is_refunded_after_the_end_and_the_grace_and_not_before() public {
        uint256 job = open(0, 100, 10_000, 2, 0); // epochs 2 and 3
        pass(1);
        deliver(job, 1, 10);
        for (uint256 i = 2; i < 3 + GRACE; ++i) {
            vm.expectPartialRevert(IEscrow.NotOver.selector);
            escrow.refund(job);
            attestOne(job, 1, 12);
        }
        post(settlement.epoch() + 1, bytes32(0), 0, quorum()); // waits: it is not in force yet
        escrow.refund(job);
        require(token.balanceOf(buyer(0)) == FUNDS - 1_000, "the rest");
        closed(job);
    }

    function closed(uint256 job) internal {
        vm.expectPartialRevert(IEscrow.JobIsClosed.selector);
        escrow.refund(job);
        vm.expectPartialRevert(IEscrow.JobIsClosed.selector);
        escrow.claim(job, 1, 12, new bytes32[](0));
        vm.prank(buyer(0));
        vm.expectPartialRevert(IEscrow.JobIsClosed.selector);
        escrow.cancel(job);
    }

    function test_a_root_that_waits_ends_no_grace() public {
        uint256 job = open(0, 100, 10_000, 1, 0); // epoch 2
        pass(1 + GRACE);
        post(settlement.epoch() + 1, bytes32(0), 0, quorum());
        vm.expectPartialRevert(IEscrow.NotOver.selector);
        escrow.refund(job);
        vm.warp(block.timestamp + DELAY);
        escrow.refund(job);
    }

    function test_without_any_root_the_buyer_is_refunded_after_the_patience() public {
        uint256 opened = block.timestamp;
        uint256 job = open(0, 100, 10_000, 9, 0);
        vm.warp(opened + PATIENCE);
        vm.expectPartialRevert(IEscrow.NotOver.selector);
        escrow.refund(job);
        vm.warp(opened + PATIENCE + 1);
        escrow.refund(job);
        require(token.balanceOf(buyer(0)) == FUNDS, "all");
        job = open(0, 100, 10_000, 9, 0);
        pass(1);
        vm.warp(block.timestamp + PATIENCE);
        vm.expectPartialRevert(IEscrow.NotOver.selector);
        escrow.refund(job);
    }

    function test_a_job_is_cancelled_whole_before_it_begins_and_with_notice_later() public {
        uint256 job = open(0, 100, 10_000, 9, 0); // epochs 2 to 10
        vm.prank(buyer(1));
        vm.expectPartialRevert(IEscrow.NotBuyer.selector);
        escrow.cancel(job);
        vm.prank(buyer(0));
        escrow.cancel(job);
        require(token.balanceOf(buyer(0)) == FUNDS, "whole");
        closed(job);
        job = open(0, 100, 10_000, 9, 0);
        pass(1);
        vm.prank(buyer(0));
        escrow.cancel(job);
        require(escrow.jobOf(job).last == 3, "the running epoch and one more");
        deliver(job, 1, 10);
        vm.prank(buyer(0));
        escrow.cancel(job);
        require(escrow.jobOf(job).last == 3, "no longer by cancelling again");
        pass(3 + GRACE - 2);
        escrow.refund(job);
        require(token.balanceOf(buyer(0)) == FUNDS - 1_000, "paid what was delivered");
    }

    function test_terms_that_make_no_job_are_refused() public {
        badTerms(0, 100, 1, 0);
        badTerms(101, 100, 1, 0);
        badTerms(1, 100, 0, 0);
        badTerms(1, 100, 10_001, 0);
        badTerms(1, 100, 1, 101);
        vm.expectPartialRevert(IEscrow.NoJob.selector);
        escrow.claim(1, 1, 1, new bytes32[](0));
        vm.expectPartialRevert(IEscrow.NoJob.selector);
        escrow.refund(0);
        vm.prank(buyer(0));
        vm.expectPartialRevert(IEscrow.NoModel.selector);
        escrow.open(0, false, 100, 10_000, 9, new uint256[](0));
        require(escrow.count() == 0 && token.balanceOf(buyer(0)) == FUNDS, "nothing");
    }

    function test_a_job_says_what_it_buys_and_jobs_are_read_by_page() public {
        require(escrow.jobs(1, 9).length == 0, "none yet");
        open(0, 100, 10_000, 9, 0);
        vm.prank(buyer(1));
        escrow.open(keccak256("other"), true, 7, 70, 2, new uint256[](1));
        IEscrow.Job[] memory page = escrow.jobs(1, 9);
        require(page.length == 2 && page[0].model == MODEL && !page[0].isMeasured && page[0].isForAny, "first");
        require(page[1].model == keccak256("other") && page[1].isMeasured && !page[1].isForAny, "second");
        require(page[1].buyer == buyer(1) && page[1].price == 7 && page[1].cap == 70 && page[1].last == 3, "terms");
        uint256[] memory asked = new uint256[](2);
        asked[1] = 7;
        bool[] memory are = escrow.areWorkers(2, asked);
        require(are.length == 2 && are[0] && !are[1] && escrow.areWorkers(1, asked)[1], "workers");
        require(escrow.jobs(2, 2)[0].price == 7 && escrow.jobs(3, 2).length == 0, "cut");
    }

    function badTerms(uint128 price, uint128 cap, uint64 epochs, uint256 workers) internal {
        vm.prank(buyer(0));
        vm.expectPartialRevert(IEscrow.WrongTerms.selector);
        escrow.open(MODEL, false, price, cap, epochs, new uint256[](workers));
    }

    function test_a_token_that_returns_false_moves_no_job() public {
        uint256 job = open(0, 100, 10_000, 1, 0);
        pass(1);
        attestOne(job, 1, 10);
        token.misbehave(Token.Fault.ReturnsFalse);
        vm.prank(buyer(1));
        vm.expectPartialRevert(SafeERC20.SafeERC20FailedOperation.selector);
        escrow.open(MODEL, false, 100, 10_000, 9, new uint256[](0));
        vm.expectPartialRevert(SafeERC20.SafeERC20FailedOperation.selector);
        escrow.claim(job, 1, 10, new bytes32[](0));
        require(escrow.count() == 1 && escrow.delivered(job, 1) == 0 && escrow.jobOf(job).paid == 0, "nothing changed");
        token.misbehave(Token.Fault.None);
        escrow.claim(job, 1, 10, new bytes32[](0));
    }

    function test_a_token_that_takes_a_fee_is_refused() public {
        token.misbehave(Token.Fault.TakesAFee);
        vm.prank(buyer(0));
        vm.expectPartialRevert(IEscrow.WrongDeposit.selector);
        escrow.open(MODEL, false, 100, 10_000, 9, new uint256[](0));
        require(escrow.count() == 0, "no job");
    }

    function test_a_token_that_calls_back_gets_nothing_more() public {
        uint256 job = open(0, 100, 10_000, 1, 0);
        open(1, 100, 10_000, 9, 0);
        pass(1);
        attestOne(job, 1, 10);
        token.callBack(address(escrow), abi.encodeCall(escrow.claim, (job, 1, 10, new bytes32[](0))));
        escrow.claim(job, 1, 10, new bytes32[](0));
        require(token.refusal() == AGAIN && token.balanceOf(ownerAddress(1)) == 850, "claimed once");
        token.misbehave(Token.Fault.None);
        pass(GRACE);
        token.callBack(address(escrow), abi.encodeCall(escrow.refund, (job)));
        escrow.refund(job);
        require(token.refusal() == AGAIN && token.balanceOf(address(escrow)) == 10_000, "refunded once");
        token.callBack(address(escrow), abi.encodeCall(escrow.open, (MODEL, false, 100, 10_000, 9, new uint256[](0))));
        open(0, 100, 10_000, 9, 0);
        require(token.refusal() == AGAIN, "opened once");
    }
}
