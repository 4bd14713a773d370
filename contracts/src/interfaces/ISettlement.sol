// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {INodeDeed} from "./INodeDeed.sol";
import {IR1} from "./IR1.sol";

/// @title One cumulative Merkle root an epoch, signed by a quorum of oracles, and claims against the newest one.
/// @notice Oracles are appointed at deployment, and then only by a quorum of those before them. A root is in force `delay` seconds
/// after it was posted; until then the guardian, who can do nothing else, may veto it. No upgrades: what is deployed is what is audited. A leaf is keccak256(keccak256(abi.encode(deed, cumulative))):
/// all that `deed` has earned since the first epoch, in wei. What is minted never exceeds what the quorum attested.
interface ISettlement {
    event RootPosted(uint256 indexed epoch, bytes32 root, uint256 total, bytes32 evidence);
    event Vetoed(uint256 indexed epoch, bytes32 root);
    event OraclesAppointed(uint256 indexed number, address[] oracles, uint256 threshold);
    event Claimed(uint256 indexed deed, address indexed owner, uint256 amount, uint256 cumulative);

    /// @notice The threshold must be more than half of the oracles and not more than all, and each oracle named once.
    error WrongOracles(uint256 threshold, uint256 oracles);
    /// @notice Epochs are posted in order: `got` was posted, `wanted` is the next.
    error WrongEpoch(uint256 got, uint256 wanted);
    /// @notice The root of `epoch` waits until `activeAt` (seconds since 1970); the next is not posted before.
    error NotActive(uint256 epoch, uint256 activeAt);
    /// @notice The root of `epoch` is in force since `activeAt` (seconds since 1970); it is too late to veto it.
    error IsActive(uint256 epoch, uint256 activeAt);
    /// @notice `caller` is not the guardian.
    error NotGuardian(address caller);
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
    /// @notice The leaves sum to more than was attested: `minted` would be minted in all, of `total`.
    error ExceedsAttested(uint256 minted, uint256 total);

    function r1() external view returns (IR1);
    function deeds() external view returns (INodeDeed);
    function threshold() external view returns (uint128);

    /// @notice Whether `signer` is among the oracles of now.
    function isOracle(address signer) external view returns (bool);

    /// @notice Which appointment of oracles is in force: 1 at deployment, one more at each `rotate`.
    function oraclesNumber() external view returns (uint128);

    /// @notice Seconds from posting a root until it is in force.
    function delay() external view returns (uint256);

    /// @notice Who may veto a root that waits; zero for nobody.
    function guardian() external view returns (address);

    /// @notice All R1 ever minted here, in wei, burned or not.
    function minted() external view returns (uint256);

    /// @notice The most that `total` may grow in one epoch, in wei.
    function epochCap() external view returns (uint256);

    /// @notice The last epoch posted and not vetoed; 0 before the first.
    function epoch() external view returns (uint256);

    /// @notice When the root of `epoch()` is in force, seconds since 1970; 0 before the first.
    function activeAt() external view returns (uint256);

    /// @notice The root in force; zero before the first, and for an epoch in which no deed was ever bound.
    function root() external view returns (bytes32);

    /// @notice The sum of all leaves under the root in force, in wei.
    function total() external view returns (uint256);

    /// @notice What `deed` was paid since the first epoch, in wei.
    function claimed(uint256 deed) external view returns (uint256);

    /// @notice Post the root of the next epoch. Anyone may bring the signatures.
    /// @param evidence SHA-256 over the epoch's evidence files, so that the quorum also attests what it judged by.
    /// @param signatures Over Root(epoch, root, total, evidence), by at least `threshold` oracles in ascending order of address.
    function post(
        uint256 epoch_,
        bytes32 root_,
        uint256 total_,
        bytes32 evidence,
        bytes[] calldata signatures
    ) external;

    /// @notice Take back the root of `epoch_`, the last posted, which is not in force yet. Guardian only; the epoch can be posted anew.
    function veto(uint256 epoch_) external;

    /// @notice Appoint other oracles. Anyone may bring the signatures.
    /// @param signatures Over Oracles(oraclesNumber + 1, oracles, threshold), by a quorum of the oracles of now, ascending.
    function rotate(address[] calldata oracles, uint256 threshold_, bytes[] calldata signatures) external;

    /// @notice Pay what `deed` earned and was not paid yet to its owner of now: unclaimed R1 travels with the deed.
    /// Anyone may call it.
    function claim(uint256 deed, uint256 cumulative, bytes32[] calldata proof) external;
}
