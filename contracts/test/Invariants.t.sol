// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Devices} from "../src/Devices.sol";
import {NodeDeed} from "../src/NodeDeed.sol";
import {R1} from "../src/R1.sol";
import {Settlement} from "../src/Settlement.sol";
import {Actions} from "./Actions.sol";
import {Scene} from "./Scene.sol";

/// @title Actions, and doors to the contracts that they act on.
contract World is Actions {
    function contracts() external view returns (Settlement, R1, NodeDeed, Devices) {
        return (settlement, r1, deeds, devices);
    }

    function owner(uint256 index) external pure returns (address) {
        return ownerAddress(index);
    }

    function device(uint256 index) external pure returns (address) {
        return deviceAddress(index);
    }
}

/// @title What holds after any calls of Actions, each beneficiary's account by itself.
contract InvariantsTest {
    World internal world;
    Settlement internal settlement;
    R1 internal r1;
    NodeDeed internal deeds;
    Devices internal devices;

    function setUp() public {
        world = new World();
        (settlement, r1, deeds, devices) = world.contracts();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(world);
    }

    function invariant_what_is_minted_is_what_was_paid_and_was_attested() external view {
        uint256 all;
        Scene.Leaves memory leaves = world.inForce();
        Scene.Leaves memory paid = world.paid();
        for (uint256 i = 0; i < 4; ++i) {
            require(settlement.claimed(i + 1) == paid.deeds[i], "claimed is not what was paid");
            require(paid.deeds[i] <= leaves.deeds[i], "more was paid than the leaf holds");
            all += paid.deeds[i];
        }
        for (uint256 i = 0; i < 3; ++i) {
            require(settlement.claimedByAccount(world.owner(i)) == paid.accounts[i], "claimed by account");
            require(paid.accounts[i] <= leaves.accounts[i], "more was paid than the account's leaf holds");
            all += paid.accounts[i];
        }
        require(settlement.minted() == all && all <= settlement.total(), "minted");
        require(settlement.total() <= r1.cap(), "more is attested than R1's cap");
    }

    function invariant_each_owner_is_paid_where_it_chose_to_be() external view {
        uint256 running = settlement.epoch() + 1;
        for (uint256 i = 0; i < 3; ++i) {
            if (world.choseAt(i) > running) continue; // it was posted before, and vetoed: its close tells
            require(settlement.isPaidToAccount(world.owner(i), running) == world.toAccount(i, running), "running");
            require(settlement.isPaidToAccount(world.owner(i), running + 1) == world.toAccount(i, running + 1), "next");
        }
    }

    function invariant_each_owner_has_what_was_received_and_not_burned() external view {
        uint256 held;
        for (uint256 index = 0; index < 3; ++index) {
            address owner = world.owner(index);
            require(r1.balanceOf(owner) == world.received(owner) - world.burned(owner), "balance");
            held += r1.balanceOf(owner);
        }
        require(held == r1.totalSupply(), "somebody else has R1");
    }

    function invariant_epochs_are_counted_and_nothing_forbidden_happened() external view {
        require(settlement.epoch() == world.epochs(), "epoch");
        require(bytes(world.broken()).length == 0, world.broken());
    }

    function invariant_each_device_has_the_deed_that_bound_it_and_no_deed_too_many() external view {
        uint256[5] memory bound;
        for (uint256 index = 0; index < 6; ++index) {
            uint256 deed = devices.deedOf(world.device(index));
            require(deed == world.deedOf(index), "deed of a device");
            ++bound[deed];
        }
        for (uint256 deed = 1; deed <= 4; ++deed) {
            require(bound[deed] <= deeds.slots(deed), "slots");
            require(devices.bindings(deed, deed)[0].devices.length == bound[deed], "bindings");
        }
    }
}
