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

    struct Rules {
        uint128 epochCap;
        uint32 delay;
        uint16 leastOracles;
        uint16 threshold;
        uint64 oraclesNumber;
    }

    struct Choice {
        uint64 from;
        bool now_;
        bool before;
    }

    uint256 private constant MOST_ORACLES = 255;
    uint256 private constant MOST_DELAY = 30 days;
    bytes32 private constant ACCOUNT = keccak256("tinyren account");
    bytes32 private constant ROOT = keccak256("Root(uint256 epoch,bytes32 root,uint256 total,bytes32 evidence)");
    bytes32 private constant ORACLES = keccak256("Oracles(uint256 number,address[] oracles,uint256 threshold)");

    IR1 public immutable r1 = new R1();
    INodeDeed public immutable deeds;
    address public immutable governor;
    uint256 public immutable mostEpochCap;
    uint256 public immutable leastDelay;

    address public guardian;
    uint256 public minted;
    mapping(uint256 deed => uint256) public claimed;
    mapping(address owner => uint256) public claimedByAccount;
    Rules private _rules;
    mapping(address owner => Choice) private _choices;
    mapping(uint256 number => mapping(address signer => bool)) private _isOracle;
    // The newest root and the one before it, in either order: while the newest waits, the other is in force.
    Posted[2] private _posted;

    constructor(
        INodeDeed deeds_,
        address[] memory oracles,
        uint256 threshold_,
        uint128 epochCap_,
        uint32 delay_,
        address guardian_,
        address governor_
    ) EIP712("tinyren Settlement", "1") {
        deeds = deeds_;
        governor = governor_;
        (mostEpochCap, leastDelay) = (epochCap_, delay_);
        _govern(epochCap_, delay_, 1, guardian_);
        _appoint(1, oracles, threshold_);
    }

    function isOracle(address signer) external view returns (bool) {
        return _isOracle[_rules.oraclesNumber][signer];
    }

    function oraclesNumber() external view returns (uint64) {
        return _rules.oraclesNumber;
    }

    function threshold() external view returns (uint16) {
        return _rules.threshold;
    }

    function leastOracles() external view returns (uint16) {
        return _rules.leastOracles;
    }

    function epochCap() external view returns (uint128) {
        return _rules.epochCap;
    }

    function delay() external view returns (uint32) {
        return _rules.delay;
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

    function inForce() external view returns (uint256, bytes32) {
        Posted storage posted = _inForce();
        return (posted.epoch, posted.root);
    }

    function isPaidToAccount(address owner, uint256 epoch_) public view returns (bool) {
        Choice memory choice = _choices[owner];
        return epoch_ < choice.from ? choice.before : choice.now_;
    }

    function arePaidToAccount(address[] calldata owners, uint256 epoch_) external view returns (bool[] memory are) {
        are = new bool[](owners.length);
        for (uint256 i = 0; i < owners.length; ++i) are[i] = isPaidToAccount(owners[i], epoch_);
    }

    function payToAccount(bool wanted) external {
        uint256 running = epoch() + 1;
        _choices[msg.sender] = Choice(uint64(running + 1), wanted, isPaidToAccount(msg.sender, running));
        emit PaidToAccount(msg.sender, wanted, running + 1);
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
        if (total_ - lastTotal > _rules.epochCap) revert TotalTooHigh(total_ - lastTotal, _rules.epochCap);
        if (total_ > R1_CAP) revert TotalTooHigh(total_, R1_CAP);
        _checkQuorum(keccak256(abi.encode(ROOT, epoch_, root_, total_, evidence)), signatures);
        uint256 active = block.timestamp + _rules.delay;
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
        uint256 number = _rules.oraclesNumber + 1;
        bytes32 members = keccak256(abi.encodePacked(oracles));
        _checkQuorum(keccak256(abi.encode(ORACLES, number, members, threshold_)), signatures);
        _appoint(number, oracles, threshold_);
    }

    function govern(uint128 epochCap_, uint32 delay_, uint16 leastOracles_, address guardian_) external {
        if (msg.sender != governor) revert NotGovernor(msg.sender);
        if (epochCap_ > mostEpochCap) revert OutOfBounds(epochCap_, 0, mostEpochCap);
        if (delay_ < leastDelay || delay_ > MOST_DELAY) revert OutOfBounds(delay_, leastDelay, MOST_DELAY);
        if (leastOracles_ == 0 || leastOracles_ > MOST_ORACLES) revert OutOfBounds(leastOracles_, 1, MOST_ORACLES);
        _govern(epochCap_, delay_, leastOracles_, guardian_);
    }

    function claim(uint256 deed, uint256 cumulative, bytes32[] calldata proof) external {
        Posted storage posted = _inForce();
        if (!MerkleProof.verifyCalldata(proof, posted.root, _leaf(deed, cumulative))) revert WrongProof(deed, cumulative);
        address owner = deeds.ownerOf(deed);
        uint256 amount = _record(deed, owner, cumulative);
        if (amount == 0) revert NothingToClaim(deed, claimed[deed], cumulative);
        _pay(owner, amount, posted.total);
    }

    function claimMany(Leaf[] calldata leaves, bytes32[] calldata proof, bool[] calldata flags) external {
        Posted storage posted = _inForce();
        bytes32[] memory hashes = new bytes32[](leaves.length);
        for (uint256 i = 0; i < leaves.length; ++i) hashes[i] = _leaf(leaves[i].deed, leaves[i].cumulative);
        if (!MerkleProof.multiProofVerifyCalldata(proof, flags, posted.root, hashes)) revert WrongProofOfMany();
        address owner;
        uint256 amount;
        for (uint256 i = 0; i < leaves.length; ++i) {
            uint256 deed = leaves[i].deed;
            address itsOwner = deeds.ownerOf(deed);
            if (i == 0) owner = itsOwner;
            if (itsOwner != owner) revert OtherOwner(deed, itsOwner, owner);
            amount += _record(deed, owner, leaves[i].cumulative);
        }
        if (amount == 0) revert NothingToClaimOfMany();
        _pay(owner, amount, posted.total);
    }

    function claimAccount(address owner, uint256 cumulative, bytes32[] calldata proof) external {
        Posted storage posted = _inForce();
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(ACCOUNT, owner, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, posted.root, leaf)) revert WrongAccountProof(owner, cumulative);
        uint256 paid = claimedByAccount[owner];
        if (cumulative <= paid) revert NothingToClaimByAccount(owner, paid, cumulative);
        claimedByAccount[owner] = cumulative;
        emit AccountClaimed(owner, cumulative - paid, cumulative);
        _pay(owner, cumulative - paid, posted.total);
    }

    /// @dev Counts `deed` as paid up to `cumulative`; what is to be paid for it, 0 where that much was paid before.
    function _record(uint256 deed, address owner, uint256 cumulative) private returns (uint256 amount) {
        uint256 paid = claimed[deed];
        if (cumulative <= paid) return 0;
        claimed[deed] = cumulative;
        amount = cumulative - paid;
        emit Claimed(deed, owner, amount, cumulative);
    }

    function _pay(address owner, uint256 amount, uint256 attested) private {
        uint256 all = minted + amount;
        if (all > attested) revert ExceedsAttested(all, attested);
        minted = all;
        r1.mint(owner, amount);
    }

    function _govern(uint128 epochCap_, uint32 delay_, uint16 leastOracles_, address guardian_) private {
        (_rules.epochCap, _rules.delay, _rules.leastOracles) = (epochCap_, delay_, leastOracles_);
        guardian = guardian_;
        emit Governed(epochCap_, delay_, leastOracles_, guardian_);
    }

    function _appoint(uint256 number, address[] memory oracles, uint256 threshold_) private {
        uint256 count = oracles.length;
        if (threshold_ > count || 2 * threshold_ <= count) revert WrongOracles(threshold_, count);
        if (count < _rules.leastOracles || count > MOST_ORACLES) revert OutOfBounds(count, _rules.leastOracles, MOST_ORACLES);
        for (uint256 i = 0; i < count; ++i) {
            if (oracles[i] == address(0) || _isOracle[number][oracles[i]]) revert WrongOracles(threshold_, count);
            _isOracle[number][oracles[i]] = true;
        }
        (_rules.oraclesNumber, _rules.threshold) = (uint64(number), uint16(threshold_));
        emit OraclesAppointed(number, oracles, threshold_);
    }

    function _leaf(uint256 deed, uint256 cumulative) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(deed, cumulative))));
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
        Rules memory rules = _rules;
        if (signatures.length < rules.threshold) revert TooFewSignatures(signatures.length, rules.threshold);
        bytes32 digest = _hashTypedDataV4(structHash);
        mapping(address => bool) storage members = _isOracle[rules.oraclesNumber];
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            if (signer <= previous) revert SignersNotAscending(previous, signer);
            if (!members[signer]) revert NotOracle(signer);
            previous = signer;
        }
    }
}
