// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Settlement} from "../src/Settlement.sol";
import {Scene} from "./Scene.sol";
import {Tree} from "./Tree.sol";
import {vm} from "./Vm.sol";

/// @title Accounts, claims of many deeds at once, and what can be governed.
contract AccountsTest is Scene {
    function setUp() public {
        vm.warp(1_800_000_000);
        build();
    }

    function some() internal pure returns (Leaves memory leaves) {
        leaves.deeds = [uint256(5), 6, 7, 8];
        leaves.accounts = [uint256(10), 20, 30];
    }

    function postAndWait(Leaves memory leaves) internal {
        post(settlement.epoch() + 1, rootOf(leaves), totalOf(leaves), quorum());
        vm.warp(block.timestamp + DELAY);
    }

    function test_deeds_and_accounts_are_paid_under_one_root_in_any_order(
        uint64[4] memory a,
        uint64[3] memory b,
        bool first
    ) public {
        Leaves memory leaves;
        for (uint256 i = 0; i < DEEDS; ++i) leaves.deeds[i] = uint256(a[i]) + 1;
        for (uint256 i = 0; i < OWNERS; ++i) leaves.accounts[i] = uint256(b[i]) + 1;
        postAndWait(leaves);
        for (uint256 turn = 0; turn < 2; ++turn) {
            for (uint256 i = 0; i < DEEDS && (turn == 0) == first; ++i) {
                settlement.claim(i + 1, leaves.deeds[i], deedProof(leaves, i + 1));
            }
            for (uint256 i = 0; i < OWNERS && (turn == 1) == first; ++i) {
                settlement.claimAccount(ownerAddress(i), leaves.accounts[i], accountProof(leaves, i));
            }
        }
        require(settlement.minted() == totalOf(leaves) && r1.totalSupply() == totalOf(leaves), "all of it");
    }

    function test_an_account_is_paid_once_and_what_is_new_later() public {
        Leaves memory leaves = some();
        postAndWait(leaves);
        settlement.claimAccount(ownerAddress(2), 30, accountProof(leaves, 2));
        vm.expectPartialRevert(ISettlement.NothingToClaimByAccount.selector);
        settlement.claimAccount(ownerAddress(2), 30, accountProof(leaves, 2));
        leaves.accounts[2] = 45;
        postAndWait(leaves);
        settlement.claimAccount(ownerAddress(2), 45, accountProof(leaves, 2));
        require(r1.balanceOf(ownerAddress(2)) == 45 && settlement.claimedByAccount(ownerAddress(2)) == 45, "45");
    }

    function test_no_leaf_passes_for_one_of_another_tree() public {
        Leaves memory leaves = some();
        postAndWait(leaves);
        vm.expectPartialRevert(ISettlement.WrongProof.selector);
        settlement.claim(uint160(ownerAddress(0)), 10, accountProof(leaves, 0));
        vm.expectPartialRevert(ISettlement.WrongAccountProof.selector);
        settlement.claimAccount(address(1), 5, deedProof(leaves, 1));
        vm.expectPartialRevert(ISettlement.WrongAccountProof.selector);
        settlement.claimAccount(ownerAddress(0), 20, accountProof(leaves, 1));
        vm.expectPartialRevert(ISettlement.WrongAccountProof.selector);
        settlement.claimAccount(ownerAddress(0), 11, accountProof(leaves, 0));
        require(settlement.minted() == 0, "nothing");
    }

    function test_more_than_was_attested_is_paid_to_no_account() public {
        Leaves memory leaves = some();
        post(1, rootOf(leaves), 42, quorum());
        vm.warp(block.timestamp + DELAY);
        settlement.claimAccount(ownerAddress(2), 30, accountProof(leaves, 2));
        vm.expectPartialRevert(ISettlement.ExceedsAttested.selector);
        settlement.claimAccount(ownerAddress(1), 20, accountProof(leaves, 1));
        vm.expectPartialRevert(ISettlement.ExceedsAttested.selector);
        claimDeeds(leaves, oneAndFour());
        require(settlement.minted() == 30, "30");
    }

    function test_a_choice_counts_from_the_next_epoch_on() public {
        address owner = ownerAddress(0);
        postAndWait(some());
        vm.prank(owner);
        settlement.payToAccount(true);
        require(!settlement.isPaidToAccount(owner, 2) && settlement.isPaidToAccount(owner, 3), "from 3");
        vm.prank(owner);
        settlement.payToAccount(false);
        require(!settlement.isPaidToAccount(owner, 2) && !settlement.isPaidToAccount(owner, 3), "taken back");
        vm.prank(owner);
        settlement.payToAccount(true);
        postAndWait(some());
        vm.prank(owner);
        settlement.payToAccount(false);
        require(settlement.isPaidToAccount(owner, 3) && !settlement.isPaidToAccount(owner, 4), "until 3");
        address[] memory asked = new address[](2);
        (asked[0], asked[1]) = (owner, ownerAddress(1));
        bool[] memory are = settlement.arePaidToAccount(asked, 3);
        require(are[0] && !are[1], "many");
    }

    function test_all_deeds_of_an_owner_are_paid_at_once() public {
        // Deeds 1 and 4 are owner 1's; the others belong to one owner each.
        Leaves memory leaves = some();
        postAndWait(leaves);
        claimDeeds(leaves, oneAndFour());
        require(r1.balanceOf(ownerAddress(1)) == 13 && settlement.minted() == 13, "both");
        require(settlement.claimed(1) == 5 && settlement.claimed(4) == 8, "counted");
        vm.expectPartialRevert(ISettlement.NothingToClaimOfMany.selector);
        claimDeeds(leaves, oneAndFour());
    }

    function test_a_deed_that_somebody_claimed_before_spoils_no_claim_of_many() public {
        Leaves memory leaves = some();
        postAndWait(leaves);
        settlement.claim(4, 8, deedProof(leaves, 4));
        claimDeeds(leaves, oneAndFour());
        require(r1.balanceOf(ownerAddress(1)) == 13 && settlement.minted() == 13, "once each");
    }

    function test_a_claim_of_many_pays_one_owner_by_true_leaves_only() public {
        Leaves memory leaves = some();
        postAndWait(leaves);
        uint256[] memory chosen = new uint256[](2);
        (chosen[0], chosen[1]) = (0, 1);
        vm.expectPartialRevert(ISettlement.OtherOwner.selector);
        this.claimChosen(leaves, chosen);
        leaves.deeds[3] = 9;
        vm.expectPartialRevert(ISettlement.WrongProofOfMany.selector);
        this.claimChosen(leaves, oneAndFour());
        bytes32[] memory root = one(settlement.root());
        vm.expectPartialRevert(ISettlement.NothingToClaimOfMany.selector);
        settlement.claimMany(new ISettlement.Leaf[](0), root, new bool[](0));
        require(settlement.minted() == 0, "nothing");
    }

    function test_a_leaf_named_twice_is_paid_once() public {
        bytes32 leaf = Tree.leaf(abi.encode(1, 5));
        post(1, Tree.pair(leaf, leaf), 10, quorum());
        vm.warp(block.timestamp + DELAY);
        ISettlement.Leaf[] memory twice = new ISettlement.Leaf[](2);
        (twice[0], twice[1]) = (ISettlement.Leaf(1, 5), ISettlement.Leaf(1, 5));
        bool[] memory flags = new bool[](1);
        flags[0] = true;
        settlement.claimMany(twice, new bytes32[](0), flags);
        require(settlement.minted() == 5, "once");
    }

    function test_the_governor_alone_governs_and_never_below_the_deployment() public {
        vm.expectPartialRevert(ISettlement.NotGovernor.selector);
        settlement.govern(1, DELAY, 3, GUARDIAN);
        refuses(CAP + 1, DELAY, 1);
        refuses(CAP, DELAY - 1, 1);
        refuses(CAP, 30 days + 1, 1);
        refuses(CAP, DELAY, 0);
        refuses(CAP, DELAY, 256);
        vm.prank(GOVERNOR);
        settlement.govern(9, 2 * DELAY, 4, address(7));
        require(settlement.epochCap() == 9 && settlement.delay() == 2 * DELAY && settlement.leastOracles() == 4, "set");
        require(settlement.guardian() == address(7) && settlement.threshold() == 2, "guardian");
        vm.prank(GOVERNOR);
        settlement.govern(CAP, DELAY, 1, GUARDIAN);
        require(settlement.epochCap() == CAP && settlement.delay() == DELAY, "back");
    }

    function test_what_is_governed_is_heeded() public {
        vm.prank(GOVERNOR);
        settlement.govern(25, 2 * DELAY, 4, GUARDIAN);
        bytes32 struct_ = rootStruct(1, bytes32(0), 26);
        bytes[] memory signatures = signedByOracles(struct_, 2);
        vm.expectPartialRevert(ISettlement.TotalTooHigh.selector);
        settlement.post(1, bytes32(0), 26, EVIDENCE, signatures);
        uint256 start = block.timestamp;
        post(1, bytes32(0), 25, quorum());
        require(settlement.activeAt() == start + 2 * DELAY, "delay");
        uint256[] memory next = oracleKeys(100, 3);
        signatures = signedByOracles(oraclesStruct(2, next, 3), 2);
        vm.expectPartialRevert(ISettlement.OutOfBounds.selector);
        settlement.rotate(addresses(next), 3, signatures);
        next = oracleKeys(100, 4);
        settlement.rotate(addresses(next), 3, signedByOracles(oraclesStruct(2, next, 3), 2));
    }

    function test_without_a_governor_nobody_governs() public {
        Settlement alone = new Settlement(deeds, addresses(oracles), 2, CAP, DELAY, GUARDIAN, address(0));
        vm.expectPartialRevert(ISettlement.NotGovernor.selector);
        alone.govern(1, DELAY, 3, GUARDIAN);
    }

    function refuses(uint128 cap, uint32 delay, uint16 least) internal {
        vm.prank(GOVERNOR);
        vm.expectPartialRevert(ISettlement.OutOfBounds.selector);
        settlement.govern(cap, delay, least, address(7));
        require(settlement.epochCap() == CAP && settlement.guardian() == GUARDIAN, "changed");
    }

    /// @dev From outside, so that forge sees the revert of the contract and not of a call before it.
    function claimChosen(Leaves memory leaves, uint256[] memory chosen) external {
        claimDeeds(leaves, chosen);
    }

    function oneAndFour() internal pure returns (uint256[] memory chosen) {
        chosen = new uint256[](2);
        chosen[1] = 3;
    }

    function one(bytes32 value) internal pure returns (bytes32[] memory values) {
        values = new bytes32[](1);
        values[0] = value;
    }
}
