// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Scene} from "./Scene.sol";
import {vm} from "./Vm.sol";

/// @title What anybody may do to the contracts, in any order, and an account of it that is kept beside them.
/// @dev Actions that must fail set `broken` where they do not; what must succeed reverts the whole call where it does not, and
/// `claimEverything` sets `broken` then.
contract Actions is Scene {
    struct Choice {
        uint256 running;
        bool wanted;
    }

    string public broken;
    uint256 public epochs;
    Leaves private _earned;
    Leaves private _paid;
    mapping(address owner => uint256) public received;
    mapping(address owner => uint256) public burned;
    mapping(uint256 epoch => Leaves) private _leaves;
    mapping(uint256 owner => Choice[]) private _choices;
    uint256 private _rotations;
    mapping(uint256 device => uint256) public deedOf;

    constructor() {
        vm.warp(1_800_000_000);
        build();
    }

    function earn(uint256 deed, uint64 amount) external {
        deed %= DEEDS;
        uint256 owner = ownerOf(deed + 1);
        if (toAccount(owner, epochs + 1)) _earned.accounts[owner] += amount;
        else _earned.deeds[deed] += amount;
    }

    function choose(uint256 owner, bool wanted) external {
        owner %= OWNERS;
        vm.prank(ownerAddress(owner));
        settlement.payToAccount(wanted);
        _choices[owner].push(Choice(epochs + 1, wanted));
    }

    /// @dev By the whole history of choices: the last one that was made before `epoch` ran.
    function toAccount(uint256 owner, uint256 epoch) public view returns (bool) {
        Choice[] storage choices = _choices[owner];
        for (uint256 i = choices.length; i > 0; --i) {
            if (choices[i - 1].running < epoch) return choices[i - 1].wanted;
        }
        return false;
    }

    /// @dev The latest epoch in which `owner` ever chose; 0 for none. After a veto it may be later than the one that runs.
    function choseAt(uint256 owner) external view returns (uint256 latest) {
        Choice[] storage choices = _choices[owner];
        for (uint256 i = 0; i < choices.length; ++i) {
            if (choices[i].running > latest) latest = choices[i].running;
        }
    }

    function wait(uint32 time) external {
        vm.warp(block.timestamp + (time % (2 days)));
    }

    function postNext() external {
        Leaves memory leaves = _earned;
        post(epochs + 1, rootOf(leaves), totalOf(leaves), quorum());
        _leaves[++epochs] = leaves;
    }

    function postWithout(uint256 kind, uint256 epoch) external {
        Leaves memory leaves = _earned;
        leaves.deeds[0] += 1 ether;
        (uint256 wrong, uint256 total) = (epochs + 1, totalOf(leaves));
        bytes[] memory signatures = signedByOracles(rootStruct(wrong, rootOf(leaves), total), quorum());
        kind %= 5;
        if (kind == 0) signatures = signedByOracles(rootStruct(wrong, rootOf(leaves), total), quorum() - 1);
        if (kind == 1) signatures[0] = signatures[quorum() - 1];
        if (kind == 2) signatures[0] = signed(0xBAD, domain("tinyren Settlement", address(settlement)), bytes32(0));
        if (kind == 3) signatures = signedByOracles(rootStruct(wrong, rootOf(leaves), total + 1), quorum());
        if (kind == 4) {
            if (epoch == epochs + 1) return;
            wrong = epoch;
            signatures = signedByOracles(rootStruct(wrong, rootOf(leaves), total), quorum());
        }
        if (kind == 1 && quorum() == 1) return;
        try settlement.post(wrong, rootOf(leaves), total, EVIDENCE, signatures) {
            broken = "a root without a quorum, or out of order, was posted";
        } catch {}
    }

    function veto() external {
        vm.prank(GUARDIAN);
        settlement.veto(epochs);
        delete _leaves[epochs--];
    }

    function rotate(uint8 count) external {
        uint256[] memory next = oracleKeys(++_rotations * 16, 1 + (count % 5));
        uint256 threshold = next.length / 2 + 1;
        uint256 number = settlement.oraclesNumber() + 1;
        settlement.rotate(addresses(next), threshold, signedByOracles(oraclesStruct(number, next, threshold), quorum()));
        oracles = next;
    }

    function claim(uint256 deed) public {
        deed = 1 + (deed % DEEDS);
        Leaves memory leaves = inForce();
        settlement.claim(deed, leaves.deeds[deed - 1], deedProof(leaves, deed));
        _notePaid(deed, leaves.deeds[deed - 1]);
    }

    function claimAccount(uint256 owner) public {
        owner %= OWNERS;
        Leaves memory leaves = inForce();
        settlement.claimAccount(ownerAddress(owner), leaves.accounts[owner], accountProof(leaves, owner));
        received[ownerAddress(owner)] += leaves.accounts[owner] - _paid.accounts[owner];
        _paid.accounts[owner] = leaves.accounts[owner];
    }

    function claimAllOf(uint256 owner) external {
        owner %= OWNERS;
        Leaves memory leaves = inForce();
        uint256 count;
        uint256[] memory chosen = new uint256[](DEEDS);
        for (uint256 deed = 1; deed <= DEEDS; ++deed) if (ownerOf(deed) == owner) chosen[count++] = deed - 1;
        if (count == 0) return;
        assembly {
            mstore(chosen, count)
        }
        claimDeeds(leaves, chosen);
        for (uint256 i = 0; i < count; ++i) _notePaid(chosen[i] + 1, leaves.deeds[chosen[i]]);
    }

    function _notePaid(uint256 deed, uint256 cumulative) private {
        received[deeds.ownerOf(deed)] += cumulative - _paid.deeds[deed - 1];
        _paid.deeds[deed - 1] = cumulative;
    }

    /// @dev Any older root's leaf, or another amount, or another deed's proof.
    function claimWrongly(uint256 deed, uint256 epoch, uint256 more, bool foreign) external {
        deed = 1 + (deed % DEEDS);
        Leaves memory leaves = _leaves[epoch % (epochs + 1)];
        Leaves memory now_ = inForce();
        uint256 amount = leaves.deeds[deed - 1];
        unchecked {
            amount += more % 3;
        }
        if (!foreign && amount == now_.deeds[deed - 1] && amount > _paid.deeds[deed - 1]) return;
        uint256 other = foreign ? 1 + (deed % DEEDS) : deed;
        try settlement.claim(deed, amount, deedProof(leaves, other)) {
            broken = "a claim that the root in force does not hold, or that was paid, was paid";
        } catch {}
    }

    /// @dev Any older root's leaf, or another amount, or somebody else's proof, of an account; and a deed's leaf as an account's.
    function claimAccountWrongly(uint256 owner, uint256 epoch, uint256 more, bool foreign) external {
        owner %= OWNERS;
        Leaves memory leaves = _leaves[epoch % (epochs + 1)];
        uint256 amount = leaves.accounts[owner] + (more % 3);
        bool isDue = amount == inForce().accounts[owner] && amount > _paid.accounts[owner];
        uint256 other = foreign ? (owner + 1) % OWNERS : owner;
        if (foreign || !isDue) {
            try settlement.claimAccount(ownerAddress(owner), amount, accountProof(leaves, other)) {
                broken = "an account was paid what the root in force does not hold, or twice";
            } catch {}
        }
        uint256 deed = 1 + (more % DEEDS);
        try settlement.claimAccount(address(uint160(deed)), leaves.deeds[deed - 1], deedProof(leaves, deed)) {
            broken = "a deed's leaf passed for an account's";
        } catch {}
        try settlement.claim(uint160(ownerAddress(owner)), leaves.accounts[owner], accountProof(leaves, owner)) {
            broken = "an account's leaf passed for a deed's";
        } catch {}
    }

    function claimEverything() external {
        Leaves memory leaves = inForce();
        for (uint256 deed = 1; deed <= DEEDS; ++deed) {
            if (leaves.deeds[deed - 1] == _paid.deeds[deed - 1]) continue;
            try this.claim(deed - 1) {} catch {
                broken = "a leaf of the root in force could not be claimed";
            }
        }
        for (uint256 owner = 0; owner < OWNERS; ++owner) {
            if (leaves.accounts[owner] == _paid.accounts[owner]) continue;
            try this.claimAccount(owner) {} catch {
                broken = "an account under the root in force could not be claimed";
            }
        }
    }

    function burn(uint256 owner, uint256 amount) external {
        address who = ownerAddress(owner % OWNERS);
        uint256 balance = r1.balanceOf(who);
        if (balance == 0) return;
        amount = 1 + (amount % balance);
        vm.prank(who);
        r1.burn(amount);
        burned[who] += amount;
    }

    function bindOne(uint256 deed, uint256 device) external {
        deed = 1 + (deed % DEEDS);
        device %= DEVICES;
        bind(deed, device, ownerOf(deed));
        if (deedOf[device] != 0) broken = "a device was bound twice";
        deedOf[device] = deed;
    }

    function bindByStranger(uint256 deed, uint256 device, uint256 owner) external {
        deed = 1 + (deed % DEEDS);
        owner %= OWNERS;
        if (owner == ownerOf(deed)) return;
        try this.tryBind(deed, device % DEVICES, owner) {
            broken = "another than the deed's owner bound a device";
        } catch {}
    }

    function tryBind(uint256 deed, uint256 device, uint256 owner) external {
        require(msg.sender == address(this), "bindByStranger's own");
        bind(deed, device, owner);
    }

    function release(uint256 device) external {
        device %= DEVICES;
        if (deedOf[device] == 0) return;
        vm.prank(ownerAddress(ownerOf(deedOf[device])));
        devices.release(deviceAddress(device));
        deedOf[device] = 0;
    }

    function transfer(uint256 deed, uint256 to) external {
        deed = 1 + (deed % DEEDS);
        address owner = deeds.ownerOf(deed);
        vm.prank(owner);
        deeds.transferFrom(owner, ownerAddress(to % OWNERS), deed);
        for (uint256 device = 0; device < DEVICES; ++device) {
            if (deedOf[device] == deed) deedOf[device] = 0;
        }
    }

    function ownerOf(uint256 deed) public view returns (uint256 index) {
        while (ownerAddress(index) != deeds.ownerOf(deed)) ++index;
    }

    /// @dev The leaves under the root in force: the last posted, or the one before it while that one waits.
    function inForce() public view returns (Leaves memory) {
        return _leaves[block.timestamp < settlement.activeAt() ? epochs - 1 : epochs];
    }

    function paid() external view returns (Leaves memory) {
        return _paid;
    }

    function earned() external view returns (Leaves memory) {
        return _earned;
    }
}
