// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {R1_CAP} from "./R1.sol";

/// @title Ratio1's published formulas: what deeds earn and what they cost. It holds nothing and decides nothing.
/// @notice Amounts in wei of R1, shares of one in 1e18, availability 0 to 255. Each function rounds once, down, at the end. Sources: Ratio1's
/// tokenomics (45 % of the cap to 46,224 Node Deeds in 1,080 epochs, 28.9 % to the Genesis Node Deed in 365, Master Node Deeds on a
/// logistic curve times adoption), and the twelve tiers of its sale.
library Curves {
    uint256 internal constant NODE_DEEDS = 46_224;
    uint256 internal constant NODE_EPOCHS = 1_080;
    uint256 internal constant NODE_REWARD = 1_458508188386985115;
    uint256 internal constant NODE_MOST = 1_575_188843457943925233;
    uint256 internal constant GENESIS_EPOCHS = 365;
    uint256 internal constant MASTER_LAST_EPOCH = 900;
    uint256 internal constant FULL = 255;
    uint256 internal constant ONE = 1e18;

    // The logistic curve's values at epochs 0 to 899 sum to this, in 1e-12, so that they give out what was assigned.
    uint256 private constant MASTER_SUM = 300_505239501691;
    uint256 private constant MIDDLE = 630;
    uint256 private constant BITS = 112;
    uint256 private constant ADOPTED_DEEDS = 7_500;
    uint256 private constant ADOPTED_USDC = 5_000_000e6;
    // Dollars a deed, two bytes a tier. A tier's deeds are a Fibonacci number: 89, 144, 233, ...
    bytes private constant TIERS = hex"01f402ee03e805dc07d009c40bb80dac0fa013881b58251c";

    error OutOfRange(uint256 got, uint256 most);

    /// @notice What a Node Deed earns in an epoch that has `earned` before.
    function nodeReward(uint256 availability, uint256 earned) internal pure returns (uint256) {
        return _within((NODE_REWARD * _atMost(availability, FULL)) / FULL, earned, NODE_MOST);
    }

    /// @notice What the Genesis Node Deed earns in its epoch 0 to 364; nothing later.
    function genesisReward(uint256 epoch) internal pure returns (uint256) {
        return epoch < GENESIS_EPOCHS ? (R1_CAP * 289) / 1000 / GENESIS_EPOCHS : 0;
    }

    /// @notice What a Master Node Deed of `assigned` wei earns in its epoch 0 to 900 that has `earned` before; nothing later.
    function masterReward(
        uint256 assigned,
        uint256 epoch,
        uint256 availability,
        uint256 adopted,
        uint256 earned
    ) internal pure returns (uint256) {
        if (epoch > MASTER_LAST_EPOCH) return 0;
        uint256 share = logistic(epoch) * _atMost(availability, FULL) * _atMost(adopted, ONE) * 1e12;
        uint256 reward = (_atMost(assigned, R1_CAP) * share) / (MASTER_SUM * ONE * FULL * ONE);
        return _within(reward, earned, assigned);
    }

    /// @notice 1 / (1 + e ** (-5 * (epoch - 630) / 900)), for epochs 0 to 900.
    function logistic(uint256 epoch) internal pure returns (uint256) {
        _atMost(epoch, MASTER_LAST_EPOCH);
        uint256 power = _power(epoch < MIDDLE ? MIDDLE - epoch : epoch - MIDDLE);
        uint256 one = 1 << BITS;
        return ((epoch < MIDDLE ? one : power) * ONE) / (one + power);
    }

    /// @notice min(1, (Node Deeds sold / 7,500 + USDC / 5 million) / 2); `usdc` has 6 decimals.
    function adoption(uint256 sold, uint256 usdc) internal pure returns (uint256) {
        uint256 both = _atMost(sold, NODE_DEEDS) * ADOPTED_USDC + _atMost(usdc, type(uint128).max) * ADOPTED_DEEDS;
        uint256 whole = 2 * ADOPTED_DEEDS * ADOPTED_USDC;
        return both < whole ? (both * ONE) / whole : ONE;
    }

    /// @notice US dollars of the `deeds` Node Deeds that follow after `sold` are sold.
    function cost(uint256 sold, uint256 deeds) internal pure returns (uint256 dollars) {
        uint256 end = sold + _atMost(deeds, NODE_DEEDS);
        if (end > NODE_DEEDS) revert OutOfRange(end, NODE_DEEDS);
        bytes memory tiers = TIERS;
        (uint256 size, uint256 nextSize, uint256 tierEnd) = (89, 144, 89);
        for (uint256 i = 0; sold < end; i += 2) {
            uint256 upTo = end < tierEnd ? end : tierEnd;
            if (upTo > sold) {
                dollars += (upTo - sold) * ((uint256(uint8(tiers[i])) << 8) | uint8(tiers[i + 1]));
                sold = upTo;
            }
            (size, nextSize, tierEnd) = (nextSize, size + nextSize, tierEnd + nextSize);
        }
    }

    /// @dev e ** (n / 180) * 2 ** BITS for n below 1024; below 2 ** 118 where it is used (n up to 630).
    function _power(uint256 n) private pure returns (uint256 power) {
        // e ** (1 / 180) and its square, fourth, ... 512th power, times 2 ** BITS, rounded.
        uint256[10] memory squares = [
            uint256(0x1016d1a24b19cc9e4f34877e472c8),
            0x102dc3cfcf2878637e5c425733267,
            0x105c0a866ba218f1542b137dd5f07,
            0x10ba2685e80669d9cdfc01a8806bc,
            0x117cc2cbd61fd79daa117e23892a2,
            0x131ceac5c213c515db73df2abaf06,
            0x16d4e1d8d5f8324c5367588b6fcff,
            0x20947d81b27eb807ad5e61f86c0ed,
            0x4257581c81dfa8bd4197b4e9ffcec,
            0x1131273bb4ab357cb547005a698f0d
        ];
        power = 1 << BITS;
        for (uint256 i = 0; n > 0; ++i) {
            if (n & 1 == 1) power = (power * squares[i]) >> BITS;
            n >>= 1;
        }
    }

    function _atMost(uint256 value, uint256 most) private pure returns (uint256) {
        if (value > most) revert OutOfRange(value, most);
        return value;
    }

    /// @dev `reward`, or what is left of `most` after `earned`.
    function _within(uint256 reward, uint256 earned, uint256 most) private pure returns (uint256) {
        uint256 left = earned < most ? most - earned : 0;
        return reward < left ? reward : left;
    }
}
