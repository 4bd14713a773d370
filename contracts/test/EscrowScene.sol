// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Escrow} from "../src/Escrow.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {Scene} from "./Scene.sol";
import {Token} from "./Token.sol";
import {Tree} from "./Tree.sol";
import {vm} from "./Vm.sol";

/// @title An escrow of another token than R1, two buyers who have some, and roots that hold work.
abstract contract EscrowScene is Scene {
    uint64 internal constant GRACE = 3;
    uint64 internal constant PATIENCE = 30 days;
    uint256 internal constant FUNDS = 1e24;
    bytes32 internal constant MODEL = keccak256("a model");
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;

    Token internal token;
    Escrow internal escrow;

    function buildEscrow() internal {
        build();
        token = new Token();
        escrow = new Escrow(settlement, IERC20(address(token)), GRACE, PATIENCE);
        for (uint256 i = 0; i < 2; ++i) {
            token.give(buyer(i), FUNDS);
            vm.prank(buyer(i));
            token.approve(address(escrow), type(uint256).max);
        }
    }

    function buyer(uint256 index) internal pure returns (address) {
        return address(uint160(0xB0 + index));
    }

    function open(uint256 who, uint128 price, uint128 cap, uint64 epochs, uint256 worker) internal returns (uint256) {
        uint256[] memory workers = new uint256[](worker == 0 ? 0 : 1);
        if (worker > 0) workers[0] = worker;
        vm.prank(buyer(who));
        return escrow.open(MODEL, false, price, cap, epochs, workers);
    }

    function workHash(uint256 job, uint256 deed, uint256 units) internal view returns (bytes32) {
        return Tree.leaf(abi.encode(keccak256("tinyren work"), address(escrow), job, deed, units));
    }

    /// @dev The next epoch's root, over this work alone, and in force.
    function attest(bytes32[] memory work) internal {
        post(settlement.epoch() + 1, Tree.root(work), settlement.total(), quorum());
        vm.warp(block.timestamp + DELAY);
    }

    /// @dev Epochs in which nothing was delivered.
    function pass(uint256 epochs) internal {
        for (uint256 i = 0; i < epochs; ++i) {
            post(settlement.epoch() + 1, bytes32(0), settlement.total(), quorum());
            vm.warp(block.timestamp + DELAY);
        }
    }

    /// @dev One deed's work is attested, and claimed.
    function deliver(uint256 job, uint256 deed, uint256 units) internal {
        attestOne(job, deed, units);
        escrow.claim(job, deed, units, new bytes32[](0));
    }

    function attestOne(uint256 job, uint256 deed, uint256 units) internal {
        bytes32[] memory work = new bytes32[](1);
        work[0] = workHash(job, deed, units);
        attest(work);
    }
}
