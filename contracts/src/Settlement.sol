// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {INodeDeed} from "./interfaces/INodeDeed.sol";
import {IR1} from "./interfaces/IR1.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {R1, R1_CAP} from "./R1.sol";

/// @title Settlement by cumulative roots. It creates R1, so that there is never another minter.
contract Settlement is ISettlement, EIP712 {
    struct Posted {
        bytes32 root;
        uint64 epoch;
        uint64 activeAt;
        uint128 total;
    }

    bytes32 private constant ROOT = keccak256("Root(uint256 epoch,bytes32 root,uint256 total,bytes32 evidence)");
    bytes32 private constant ORACLES = keccak256("Oracles(uint256 number,address[] oracles,uint256 threshold)");

    IR1 public immutable r1 = new R1();
    INodeDeed public immutable deeds;
    uint256 public immutable epochCap;
    uint256 public immutable delay;
    address public immutable guardian;

    uint128 public oraclesNumber;
    uint128 public threshold;
    uint256 public minted;
    mapping(uint256 deed => uint256) public claimed;
    mapping(uint256 number => mapping(address signer => bool)) private _isOracle;
    // The newest root and the one before it, in either order: while the newest waits, the other is in force.
    Posted[2] private _posted;

    constructor(
        INodeDeed deeds_,
        address[] memory oracles,
        uint256 threshold_,
        uint256 epochCap_,
        uint256 delay_,
        address guardian_
    ) EIP712("tinyren Settlement", "1") {
        deeds = deeds_;
        epochCap = epochCap_;
        delay = delay_;
        guardian = guardian_;
        _appoint(1, oracles, threshold_);
    }

    function isOracle(address signer) external view returns (bool) {
        return _isOracle[oraclesNumber][signer];
    }

    function epoch() public view returns (uint256) {
        (Posted storage newest, ) = _newest();
        return newest.epoch;
    }

    function activeAt() external view returns (uint256) {
        (Posted storage newest, ) = _newest();
        return newest.activeAt;
    }

    function root() external view returns (bytes32) {
        return _inForce().root;
    }

    function total() external view returns (uint256) {
        return _inForce().total;
    }

    function post(
        uint256 epoch_,
        bytes32 root_,
        uint256 total_,
        bytes32 evidence,
        bytes[] calldata signatures
    ) external {
        (Posted storage newest, Posted storage before) = _newest();
        (uint256 last, uint256 lastTotal) = (newest.epoch, newest.total);
        if (epoch_ != last + 1) revert WrongEpoch(epoch_, last + 1);
        if (block.timestamp < newest.activeAt) revert NotActive(last, newest.activeAt);
        if (total_ < lastTotal) revert TotalShrinks(total_, lastTotal);
        if (total_ - lastTotal > epochCap) revert TotalTooHigh(total_ - lastTotal, epochCap);
        if (total_ > R1_CAP) revert TotalTooHigh(total_, R1_CAP);
        _checkQuorum(keccak256(abi.encode(ROOT, epoch_, root_, total_, evidence)), signatures);
        uint256 active = block.timestamp + delay;
        (before.root, before.epoch, before.activeAt, before.total) = (
            root_,
            uint64(epoch_),
            uint64(active),
            uint128(total_)
        );
        emit RootPosted(epoch_, root_, total_, evidence);
    }

    function veto(uint256 epoch_) external {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        (Posted storage newest, ) = _newest();
        if (epoch_ != newest.epoch) revert WrongEpoch(epoch_, newest.epoch);
        if (block.timestamp >= newest.activeAt) revert IsActive(epoch_, newest.activeAt);
        emit Vetoed(epoch_, newest.root);
        (newest.root, newest.epoch, newest.activeAt, newest.total) = (0, 0, 0, 0);
    }

    function rotate(address[] calldata oracles, uint256 threshold_, bytes[] calldata signatures) external {
        uint256 number = oraclesNumber + 1;
        bytes32 members = keccak256(abi.encodePacked(oracles));
        _checkQuorum(keccak256(abi.encode(ORACLES, number, members, threshold_)), signatures);
        _appoint(number, oracles, threshold_);
    }

    function claim(uint256 deed, uint256 cumulative, bytes32[] calldata proof) external {
        Posted storage posted = _inForce();
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(deed, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, posted.root, leaf)) revert WrongProof(deed, cumulative);
        uint256 paid = claimed[deed];
        if (cumulative <= paid) revert NothingToClaim(deed, paid, cumulative);
        claimed[deed] = cumulative;
        uint256 amount = cumulative - paid;
        uint256 all = minted + amount;
        if (all > posted.total) revert ExceedsAttested(all, posted.total);
        minted = all;
        address owner = deeds.ownerOf(deed);
        emit Claimed(deed, owner, amount, cumulative);
        r1.mint(owner, amount);
    }

    function _appoint(uint256 number, address[] memory oracles, uint256 threshold_) private {
        uint256 count = oracles.length;
        if (threshold_ > count || 2 * threshold_ <= count) revert WrongOracles(threshold_, count);
        for (uint256 i = 0; i < count; ++i) {
            if (oracles[i] == address(0) || _isOracle[number][oracles[i]]) revert WrongOracles(threshold_, count);
            _isOracle[number][oracles[i]] = true;
        }
        (oraclesNumber, threshold) = (uint128(number), uint128(threshold_));
        emit OraclesAppointed(number, oracles, threshold_);
    }

    /// @dev The newest root, and the place of the one before it, which the next one takes.
    function _newest() private view returns (Posted storage newest, Posted storage before) {
        (newest, before) = (_posted[0], _posted[1]);
        if (newest.epoch < before.epoch) (newest, before) = (before, newest);
    }

    function _inForce() private view returns (Posted storage) {
        (Posted storage newest, Posted storage before) = _newest();
        return block.timestamp < newest.activeAt ? before : newest;
    }

    function _checkQuorum(bytes32 structHash, bytes[] calldata signatures) private view {
        if (signatures.length < threshold) revert TooFewSignatures(signatures.length, threshold);
        bytes32 digest = _hashTypedDataV4(structHash);
        mapping(address => bool) storage members = _isOracle[oraclesNumber];
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            if (signer <= previous) revert SignersNotAscending(previous, signer);
            if (!members[signer]) revert NotOracle(signer);
            previous = signer;
        }
    }
}
