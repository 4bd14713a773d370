// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title A claim of Ratio1's shape, to measure its gas beside ours. Nobody deploys it but contracts/gas.py.
/// @notice Each node claims for itself: a list of its epochs and availabilities under EIP-191 signatures of oracles.
/// Written from the published shape and formula, not from Ratio1's source: what they check besides is not counted.
contract Ratio1Claim is ERC20("R1", "R1") {
    uint256 public constant EPOCH_REWARD = 1458508188386985115;
    uint256 public constant LICENCE_CAP = 1575188843457943925233;

    struct ComputeRewardsParams {
        uint256 licenseId;
        address nodeAddress;
        uint256[] epochs;
        uint8[] availabilies;
    }

    struct License {
        address owner;
        address nodeAddress;
        uint256 lastClaimEpoch;
        uint256 totalClaimedAmount;
    }

    mapping(uint256 licenseId => License) public licenses;
    mapping(address => bool) public isOracle;
    uint256 public immutable threshold;

    error Refused();

    constructor(address[] memory oracles, uint256 threshold_) {
        for (uint256 i = 0; i < oracles.length; i++) isOracle[oracles[i]] = true;
        threshold = threshold_;
    }

    function link(uint256 licenseId, address nodeAddress) external {
        licenses[licenseId] = License(msg.sender, nodeAddress, 0, 0);
    }

    function claimRewards(ComputeRewardsParams calldata params, bytes[] calldata signatures) external {
        License storage license = licenses[params.licenseId];
        if (license.owner != msg.sender || license.nodeAddress != params.nodeAddress) revert Refused();
        _verify(params, signatures);
        uint256 last = license.lastClaimEpoch;
        uint256 amount = 0;
        for (uint256 i = 0; i < params.epochs.length; i++) {
            if (params.epochs[i] <= last) revert Refused();
            last = params.epochs[i];
            amount += (EPOCH_REWARD * params.availabilies[i]) / 255;
        }
        uint256 room = LICENCE_CAP - license.totalClaimedAmount;
        if (amount > room) amount = room;
        license.lastClaimEpoch = last;
        license.totalClaimedAmount += amount;
        _mint(msg.sender, amount);
    }

    function _verify(ComputeRewardsParams calldata params, bytes[] calldata signatures) private view {
        bytes32 digest = MessageHashUtils.toEthSignedMessageHash(
            keccak256(abi.encodePacked(params.nodeAddress, params.epochs, params.availabilies))
        );
        if (signatures.length < threshold) revert Refused();
        address before = address(0);
        for (uint256 i = 0; i < signatures.length; i++) {
            address signer = ECDSA.recover(digest, signatures[i]);
            if (!isOracle[signer] || signer <= before) revert Refused();
            before = signer;
        }
    }
}
