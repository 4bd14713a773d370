// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Scene} from "./Scene.sol";
import {vm} from "./Vm.sol";

/// @title What anybody may do to the contracts, in any order, and an account of it that is kept beside them.
/// @dev Actions that must fail set `broken` where they do not; what must succeed reverts the whole call where it does not, and
/// `claimEverything` sets `broken` then.
contract Actions is Scene {
    string public broken;
    uint256 public epochs;
    uint256[DEEDS] public earned;
    uint256[DEEDS] public paid;
    mapping(address owner => uint256) public received;
    mapping(address owner => uint256) public burned;
    mapping(uint256 epoch => uint256[DEEDS]) private _leaves;
    uint256 private _rotations;
    mapping(uint256 device => uint256) public deedOf;

    constructor() {
        vm.warp(1_800_000_000);
        build();
    }

    function earn(uint256 deed, uint64 amount) external {
        earned[deed % DEEDS] += amount;
    }

    function wait(uint32 time) external {
        vm.warp(block.timestamp + (time % (2 days)));
    }

    function postNext() external {
        uint256[DEEDS] memory leaves = earned;
        post(epochs + 1, treeRoot(leaves), sum(leaves), quorum());
        _leaves[++epochs] = leaves;
    }

    function postWithout(uint256 kind, uint256 epoch) external {
        uint256[DEEDS] memory leaves = earned;
        leaves[0] += 1 ether;
        (uint256 wrong, uint256 total) = (epochs + 1, sum(leaves));
        bytes[] memory signatures = signedByOracles(rootStruct(wrong, treeRoot(leaves), total), quorum());
        kind %= 5;
        if (kind == 0) signatures = signedByOracles(rootStruct(wrong, treeRoot(leaves), total), quorum() - 1);
        if (kind == 1) signatures[0] = signatures[quorum() - 1];
        if (kind == 2) signatures[0] = signed(0xBAD, domain("tinyren Settlement", address(settlement)), bytes32(0));
        if (kind == 3) signatures = signedByOracles(rootStruct(wrong, treeRoot(leaves), total + 1), quorum());
        if (kind == 4) {
            if (epoch == epochs + 1) return;
            wrong = epoch;
            signatures = signedByOracles(rootStruct(wrong, treeRoot(leaves), total), quorum());
        }
        if (kind == 1 && quorum() == 1) return;
        try settlement.post(wrong, treeRoot(leaves), total, EVIDENCE, signatures) {
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
        uint256[DEEDS] memory leaves = inForce();
        uint256 amount = leaves[deed - 1] - paid[deed - 1];
        settlement.claim(deed, leaves[deed - 1], proofOf(leaves, deed));
        paid[deed - 1] += amount;
        received[deeds.ownerOf(deed)] += amount;
    }

    /// @dev Any older root's leaf, or another amount, or another deed's proof.
    function claimWrongly(uint256 deed, uint256 epoch, uint256 more, bool foreign) external {
        deed = 1 + (deed % DEEDS);
        uint256[DEEDS] memory leaves = _leaves[epoch % (epochs + 1)];
        uint256[DEEDS] memory now_ = inForce();
        uint256 amount = leaves[deed - 1];
        unchecked {
            amount += more % 3;
        }
        if (!foreign && amount == now_[deed - 1] && amount > paid[deed - 1]) return;
        uint256 other = foreign ? 1 + (deed % DEEDS) : deed;
        try settlement.claim(deed, amount, proofOf(leaves, other)) {
            broken = "a claim that the root in force does not hold, or that was paid, was paid";
        } catch {}
    }

    function claimEverything() external {
        uint256[DEEDS] memory leaves = inForce();
        for (uint256 deed = 1; deed <= DEEDS; ++deed) {
            if (leaves[deed - 1] == paid[deed - 1]) continue;
            try this.claim(deed - 1) {} catch {
                broken = "a leaf of the root in force could not be claimed";
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
    function inForce() public view returns (uint256[DEEDS] memory) {
        return _leaves[block.timestamp < settlement.activeAt() ? epochs - 1 : epochs];
    }
}
