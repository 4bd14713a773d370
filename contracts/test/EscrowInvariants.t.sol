// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Escrow} from "../src/Escrow.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {EscrowScene} from "./EscrowScene.sol";
import {Token} from "./Token.sol";
import {Tree} from "./Tree.sol";
import {vm} from "./Vm.sol";

/// @title What anybody may do to an escrow, in any order, and an account of it that is kept beside it.
contract Market is EscrowScene {
    uint256 internal constant MOST_JOBS = 6;

    string public broken;
    mapping(address who => uint256) public received;
    mapping(address buyer => uint256) public deposited;
    mapping(uint256 job => mapping(uint256 deed => uint256)) public worked;
    mapping(uint256 job => mapping(uint256 deed => uint256)) public attested;
    mapping(uint256 job => uint256) public unitsOf;
    mapping(uint256 job => bool) public isClosed;
    uint256 public burned;

    constructor() {
        vm.warp(1_800_000_000);
        buildEscrow();
    }

    function contracts() external view returns (Escrow, Token) {
        return (escrow, token);
    }

    function openOne(uint256 index, uint8 price, uint16 units, uint8 epochs) external {
        if (escrow.count() == MOST_JOBS) return;
        uint128 price_ = 1 + uint128(price);
        uint128 cap = price_ * (1 + units) + price / 2;
        open(index % 2, price_, cap, 1 + (epochs % 8), 0);
        deposited[buyer(index % 2)] += cap;
    }

    /// @dev Oracles count no more work than the deposit buys.
    function work(uint256 job, uint256 deed, uint16 units) external {
        if (escrow.count() == 0) return;
        (job, deed) = (1 + (job % escrow.count()), 1 + (deed % DEEDS));
        IEscrow.Job memory terms = escrow.jobOf(job);
        uint256 left = terms.cap / terms.price - unitsOf[job];
        uint256 done = units < left ? units : left;
        worked[job][deed] += done;
        unitsOf[job] += done;
    }

    function nextEpoch(uint8 count) external {
        for (uint256 i = 0; i <= count % 3; ++i) attest(hashes());
        for (uint256 job = 1; job <= escrow.count(); ++job) {
            for (uint256 deed = 1; deed <= DEEDS; ++deed) attested[job][deed] = worked[job][deed];
        }
    }

    function hashes() internal view returns (bytes32[] memory found) {
        return hashesOf(false);
    }

    function hashesOf(bool isAttested) internal view returns (bytes32[] memory found) {
        found = new bytes32[](MOST_JOBS * DEEDS);
        for (uint256 i = 0; i < found.length; ++i) {
            (uint256 job, uint256 deed) = (1 + i / DEEDS, 1 + (i % DEEDS));
            found[i] = workHash(job, deed, isAttested ? attested[job][deed] : worked[job][deed]);
        }
    }

    function claim(uint256 job, uint256 deed) public {
        if (escrow.count() == 0) return;
        (job, deed) = (1 + (job % escrow.count()), 1 + (deed % DEEDS));
        uint256 units = attested[job][deed];
        uint256 before = escrow.delivered(job, deed);
        bytes32[] memory proof = Tree.proof(hashesOf(true), (job - 1) * DEEDS + deed - 1);
        try escrow.claim(job, deed, units, proof) {
            if (isClosed[job] || units <= before) broken = "a closed job, or nothing new, was paid";
        } catch {
            if (!isClosed[job] && units > before) broken = "attested work of an open job was not paid";
            return;
        }
        _notePaid(job, deed, before);
    }

    /// @dev Deeds 1 and `other` of a job at once, whoever owns them.
    function claimTwo(uint256 job, uint256 other) external {
        if (escrow.count() == 0) return;
        (job, other) = (1 + (job % escrow.count()), 2 + (other % (DEEDS - 1)));
        uint256[2] memory before = [escrow.delivered(job, 1), escrow.delivered(job, other)];
        bool isNew = attested[job][1] > before[0] || attested[job][other] > before[1];
        bool isOne = deeds.ownerOf(1) == deeds.ownerOf(other);
        IEscrow.Work[] memory works = new IEscrow.Work[](2);
        (works[0], works[1]) = (IEscrow.Work(1, attested[job][1]), IEscrow.Work(other, attested[job][other]));
        (bytes32[] memory proof, bool[] memory flags) = _proofOfTwo(job, other);
        try escrow.claimMany(job, works, proof, flags) {
            if (isClosed[job] || !isNew || !isOne) broken = "a closed job, nothing new, or two owners were paid";
        } catch {
            if (!isClosed[job] && isNew && isOne) broken = "attested work of one owner was not paid at once";
            return;
        }
        _notePaid(job, 1, before[0]);
        _notePaid(job, other, before[1]);
    }

    function _proofOfTwo(uint256 job, uint256 other) private view returns (bytes32[] memory, bool[] memory) {
        uint256[] memory chosen = new uint256[](2);
        (chosen[0], chosen[1]) = ((job - 1) * DEEDS, (job - 1) * DEEDS + other - 1);
        return Tree.multiproof(hashesOf(true), chosen);
    }

    function _notePaid(uint256 job, uint256 deed, uint256 before) private {
        uint256 price = escrow.jobOf(job).price;
        uint256 units = attested[job][deed];
        uint256 fire = (units * price * 15) / 100 - (before * price * 15) / 100;
        burned += fire;
        received[deeds.ownerOf(deed)] += (units - before) * price - fire;
    }

    function claimWrongly(uint256 job, uint256 deed, uint256 units, uint256 other) external {
        if (escrow.count() == 0) return;
        (job, deed, other) = (1 + (job % escrow.count()), 1 + (deed % DEEDS), other % (MOST_JOBS * DEEDS));
        if (other == (job - 1) * DEEDS + deed - 1) units = attested[job][deed] + 1 + (units % 5);
        else units = attested[1 + other / DEEDS][1 + (other % DEEDS)];
        try escrow.claim(job, deed, units, Tree.proof(hashesOf(true), other)) {
            broken = "work that the root in force does not hold was paid";
        } catch {}
    }

    function cancel(uint256 job) external {
        if (escrow.count() == 0) return;
        job = 1 + (job % escrow.count());
        IEscrow.Job memory terms = escrow.jobOf(job);
        bool isBegun = settlement.epoch() + 1 >= terms.first;
        vm.prank(terms.buyer);
        escrow.cancel(job);
        if (!isBegun) _noteRefund(job, terms);
    }

    function refund(uint256 job) external {
        if (escrow.count() == 0) return;
        job = 1 + (job % escrow.count());
        IEscrow.Job memory terms = escrow.jobOf(job);
        escrow.refund(job);
        if (settlement.epoch() < terms.last + GRACE) broken = "refunded before workers had time to claim";
        _noteRefund(job, terms);
    }

    function transfer(uint256 deed, uint256 to) external {
        deed = 1 + (deed % DEEDS);
        address owner = deeds.ownerOf(deed);
        vm.prank(owner);
        deeds.transferFrom(owner, ownerAddress(to % OWNERS), deed);
    }

    function _noteRefund(uint256 job, IEscrow.Job memory terms) private {
        if (isClosed[job]) broken = "refunded twice";
        isClosed[job] = true;
        received[terms.buyer] += terms.cap - terms.paid;
    }

    function who(uint256 index) external pure returns (address) {
        return index < OWNERS ? ownerAddress(index) : buyer(index - OWNERS);
    }
}

/// @title What holds after any calls of Market, each beneficiary's account by itself.
contract EscrowInvariantsTest {
    Market internal market;
    Escrow internal escrow;
    Token internal token;

    function setUp() public {
        market = new Market();
        (escrow, token) = market.contracts();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(market);
    }

    function invariant_the_escrow_holds_what_open_jobs_have_left() external view {
        uint256 left;
        for (uint256 job = 1; job <= escrow.count(); ++job) {
            IEscrow.Job memory terms = escrow.jobOf(job);
            require(terms.paid <= terms.cap && terms.isClosed == market.isClosed(job), "a job");
            if (!terms.isClosed) left += terms.cap - terms.paid;
        }
        require(token.balanceOf(address(escrow)) == left, "held");
    }

    function invariant_each_has_what_was_received_and_not_deposited() external view {
        for (uint256 index = 0; index < 5; ++index) {
            address who = market.who(index);
            uint256 funds = index < 3 ? 0 : 1e24;
            require(token.balanceOf(who) == funds + market.received(who) - market.deposited(who), "balance");
        }
        require(token.balanceOf(0x000000000000000000000000000000000000dEaD) == market.burned(), "burned");
        require(bytes(market.broken()).length == 0, market.broken());
    }
}
