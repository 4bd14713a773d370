// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {INodeDeed} from "./INodeDeed.sol";
import {IR1} from "./IR1.sol";

/// @title One cumulative Merkle root an epoch, signed by a quorum of oracles, and claims against the newest one.
/// @notice Oracles are appointed at deployment, and then only by a quorum of those before them. A root is in force `delay` seconds
/// after it was posted; until then the guardian, who can do nothing else, may veto it. No upgrades: what is deployed is what is audited.
///
/// A root stands over up to three trees, whose roots are leaves of one more tree: of deeds, accounts and work, those that are
/// empty left out. Leaves of one tree cannot pass for another's, nor inner nodes for leaves:
///   deed     keccak256(keccak256(abi.encode(deed, cumulative)))
///   account  keccak256(keccak256(abi.encode(keccak256("tinyren account"), owner, cumulative)))
///   work     keccak256(keccak256(abi.encode(keccak256("tinyren work"), escrow, job, deed, units)))
/// A deed's reward of an epoch is added to one leaf: to its owner's account leaf if that owner chose so before the epoch, else to the
/// deed's own. Nothing moves between leaves afterwards: what is in a deed's leaf goes with the deed when it is sold, what
/// is in an account's leaf stays the account's. `total` is the sum of both trees; what is minted never exceeds it.
///
/// The governor may change epochCap, delay, leastOracles and guardian, and never to anything laxer than at deployment; it cannot appoint
/// oracles, post, veto, mint, or touch what was earned. The zero address as governor makes all of it constant.
interface ISettlement {
    /// @notice A leaf of the deed tree.
    struct Leaf {
        uint256 deed;
        uint256 cumulative;
    }

    event RootPosted(uint256 indexed epoch, bytes32 root, uint256 total, bytes32 evidence);
    event Vetoed(uint256 indexed epoch, bytes32 root);
    event OraclesAppointed(uint256 indexed number, address[] oracles, uint256 threshold);
    event Governed(uint256 epochCap, uint256 delay, uint256 leastOracles, address indexed guardian);
    event PaidToAccount(address indexed owner, bool wanted, uint256 from);
    event Claimed(uint256 indexed deed, address indexed owner, uint256 amount, uint256 cumulative);
    event AccountClaimed(address indexed owner, uint256 amount, uint256 cumulative);

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
    /// @notice `caller` is not the governor.
    error NotGovernor(address caller);
    /// @notice A value, or the number of oracles, is `got`; `least` to `most` are allowed.
    error OutOfBounds(uint256 got, uint256 least, uint256 most);
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
    /// @notice The proof does not lead from the leaf of `deed` to the root in force.
    error WrongProof(uint256 deed, uint256 cumulative);
    /// @notice The proof does not lead from these leaves to the root in force.
    error WrongProofOfMany();
    /// @notice The proof does not lead from the leaf of the account `owner` to the root in force.
    error WrongAccountProof(address owner, uint256 cumulative);
    /// @notice `deed` was paid `claimed` already, which is not less than `cumulative`.
    error NothingToClaim(uint256 deed, uint256 claimed, uint256 cumulative);
    /// @notice All of these leaves were paid already.
    error NothingToClaimOfMany();
    /// @notice The account `owner` was paid `claimed` already, which is not less than `cumulative`.
    error NothingToClaimByAccount(address owner, uint256 claimed, uint256 cumulative);
    /// @notice One claim pays one owner: `deed` is `owner`'s, the first one is `wanted`'s.
    error OtherOwner(uint256 deed, address owner, address wanted);
    /// @notice The leaves sum to more than was attested: `minted` would be minted in all, of `total`.
    error ExceedsAttested(uint256 minted, uint256 total);

    function r1() external view returns (IR1);
    function deeds() external view returns (INodeDeed);
    function threshold() external view returns (uint16);

    /// @notice Whether `signer` is among the oracles of now.
    function isOracle(address signer) external view returns (bool);

    /// @notice Which appointment of oracles is in force: 1 at deployment, one more at each `rotate`.
    function oraclesNumber() external view returns (uint64);

    /// @notice How many oracles an appointment must have at least; 255 at most.
    function leastOracles() external view returns (uint16);

    /// @notice Seconds from posting a root until it is in force.
    function delay() external view returns (uint32);

    /// @notice Who may veto a root that waits; zero for nobody.
    function guardian() external view returns (address);

    /// @notice Who may `govern`; zero for nobody.
    function governor() external view returns (address);

    /// @notice All R1 ever minted here, in wei, burned or not.
    function minted() external view returns (uint256);

    /// @notice The most that `total` may grow in one epoch, in wei.
    function epochCap() external view returns (uint128);

    /// @notice The last epoch posted and not vetoed; 0 before the first.
    function epoch() external view returns (uint256);

    /// @notice When the root of `epoch()` is in force, seconds since 1970; 0 before the first.
    function activeAt() external view returns (uint256);

    /// @notice The root in force; zero before the first, and for an epoch in which no deed was ever bound.
    function root() external view returns (bytes32);

    /// @notice The sum of all leaves of deeds and accounts under the root in force, in wei.
    function total() external view returns (uint256);

    /// @notice The epoch whose root is in force, and that root.
    function inForce() external view returns (uint256, bytes32);

    /// @notice What `deed` was paid by its own leaf since the first epoch, in wei.
    function claimed(uint256 deed) external view returns (uint256);

    /// @notice What `owner` was paid by its account's leaf since the first epoch, in wei.
    function claimedByAccount(address owner) external view returns (uint256);

    /// @notice Whether rewards of `epoch_` of deeds that `owner` has at its close go to its account. Good for epochs that had not been
    /// posted, not even to be vetoed, when `owner` chose; for the others ask the state of their close, as oracles always do.
    function isPaidToAccount(address owner, uint256 epoch_) external view returns (bool);

    /// @notice The same of many owners.
    function arePaidToAccount(address[] calldata owners, uint256 epoch_) external view returns (bool[] memory);

    /// @notice Choose for the sender, from the epoch after the next one to be posted: one leaf for all its deeds, or one for each.
    function payToAccount(bool wanted) external;

    /// @notice Post the root of the next epoch. Anyone may bring the signatures.
    /// @param evidence SHA-256 of a short block that names the evidence by its content, so that the quorum also attests what it judged
    /// by. The block's CID follows: CIDv1, raw, is the bytes 0x01 0x55 0x12 0x20 before it, in base32 behind a `b`.
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

    /// @notice Set what can be governed, for later posts and appointments. Governor only.
    /// @param epochCap_ At most what it was at deployment; 0 stops new rewards.
    /// @param delay_ At least what it was at deployment, at most 30 days.
    /// @param leastOracles_ 1 to 255.
    function govern(uint128 epochCap_, uint32 delay_, uint16 leastOracles_, address guardian_) external;

    /// @notice Pay what `deed` earned and was not paid yet to its owner of now: unclaimed R1 travels with the deed.
    /// Anyone may call it.
    function claim(uint256 deed, uint256 cumulative, bytes32[] calldata proof) external;

    /// @notice The same for several deeds of one owner. Leaves that were paid already are passed over, so nobody can spoil
    /// it by claiming one of them. Anyone may call it.
    /// @param leaves In the order in which the proof takes them (OpenZeppelin's MerkleProof.multiProofVerify).
    function claimMany(Leaf[] calldata leaves, bytes32[] calldata proof, bool[] calldata flags) external;

    /// @notice Pay what the account `owner` earned and was not paid yet, to `owner`. Anyone may call it.
    function claimAccount(address owner, uint256 cumulative, bytes32[] calldata proof) external;
}
