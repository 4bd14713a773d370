// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {INodeDeed} from "./INodeDeed.sol";
import {IR1} from "./IR1.sol";

/// @title One cumulative Merkle root an epoch, signed by a quorum of oracles, and claims against the newest one.
/// @notice The oracles and their threshold are fixed at deployment. A leaf is keccak256(keccak256(abi.encode(deed, cumulative))):
/// all that `deed` has earned since the first epoch, in wei. What is minted never exceeds what the quorum attested.
interface ISettlement {
    event RootPosted(uint256 indexed epoch, bytes32 root, uint256 total, bytes32 evidence);
    event Claimed(uint256 indexed deed, address indexed owner, uint256 amount, uint256 cumulative);

    /// @notice The threshold must be from 1 to the number of oracles, and each oracle named once.
    error WrongOracles(uint256 threshold, uint256 oracles);
    /// @notice Epochs are posted in order: `got` was posted, `wanted` is the next.
    error WrongEpoch(uint256 got, uint256 wanted);
    /// @notice The sum of all leaves never shrinks: `got` is below the last, `last`.
    error TotalShrinks(uint256 got, uint256 last);
    /// @notice The sum of all leaves would grow by `got` in one epoch, or exceed R1's cap; `most` is allowed.
    error TotalTooHigh(uint256 got, uint256 most);
    /// @notice `got` signatures, `wanted` are needed.
    error TooFewSignatures(uint256 got, uint256 wanted);
    /// @notice Signers must be strictly ascending, which also means distinct: `signer` came after `previous`.
    error SignersNotAscending(address previous, address signer);
    /// @notice `signer`, recovered from a signature, is no oracle (or signed other values).
    error NotOracle(address signer);
    /// @notice The proof does not lead from (deed, cumulative) to the root.
    error WrongProof(uint256 deed, uint256 cumulative);
    /// @notice `deed` was paid `claimed` already, which is not less than `cumulative`.
    error NothingToClaim(uint256 deed, uint256 claimed, uint256 cumulative);
    /// @notice The leaves sum to more than was attested: `supply` would be minted of `total`.
    error ExceedsAttested(uint256 supply, uint256 total);

    function r1() external view returns (IR1);
    function deeds() external view returns (INodeDeed);
    function threshold() external view returns (uint256);
    function isOracle(address signer) external view returns (bool);

    /// @notice The most that `total` may grow in one epoch, in wei.
    function epochCap() external view returns (uint256);

    /// @notice The last epoch posted; 0 before the first.
    function epoch() external view returns (uint256);

    /// @notice The newest root; zero before the first epoch, and for an epoch in which no deed was ever bound.
    function root() external view returns (bytes32);

    /// @notice The sum of all leaves under the newest root, in wei.
    function total() external view returns (uint256);

    /// @notice What `deed` was paid since the first epoch, in wei.
    function claimed(uint256 deed) external view returns (uint256);

    /// @notice Replace the root. Anyone may bring the signatures.
    /// @param evidence SHA-256 over the epoch's evidence files, so that the quorum also attests what it judged by.
    /// @param signatures Over Root(epoch, root, total, evidence), by at least `threshold` oracles in ascending order of address.
    function post(
        uint256 epoch_,
        bytes32 root_,
        uint256 total_,
        bytes32 evidence,
        bytes[] calldata signatures
    ) external;

    /// @notice Pay what `deed` earned and was not paid yet to its owner of now: unclaimed R1 travels with the deed.
    /// Anyone may call it.
    function claim(uint256 deed, uint256 cumulative, bytes32[] calldata proof) external;
}
