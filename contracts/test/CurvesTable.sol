// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Curves} from "../src/Curves.sol";

/// @title Curves as functions that tests/contracts/test_curves.py asks on a chain, some of them for a row of values.
contract CurvesTable {
    function nodeReward(uint256 availability, uint256 earned) external pure returns (uint256) {
        return Curves.nodeReward(availability, earned);
    }

    function genesisReward(uint256 epoch) external pure returns (uint256) {
        return Curves.genesisReward(epoch);
    }

    function adoption(uint256 sold, uint256 usdc) external pure returns (uint256) {
        return Curves.adoption(sold, usdc);
    }

    function cost(uint256 sold, uint256 count) external pure returns (uint256) {
        return Curves.cost(sold, count);
    }

    function logistic(uint256 first, uint256 end) external pure returns (uint256[] memory row) {
        row = new uint256[](end - first);
        for (uint256 i = 0; i < row.length; ++i) row[i] = Curves.logistic(first + i);
    }

    function masterReward(
        uint256 assigned,
        uint256 first,
        uint256 end,
        uint256 availability,
        uint256 adopted,
        uint256 earned
    ) external pure returns (uint256[] memory row) {
        row = new uint256[](end - first);
        for (uint256 i = 0; i < row.length; ++i) {
            row[i] = Curves.masterReward(assigned, first + i, availability, adopted, earned);
        }
    }
}
