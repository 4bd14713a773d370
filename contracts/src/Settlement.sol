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
    bytes32 private constant ROOT = keccak256("Root(uint256 epoch,bytes32 root,uint256 total,bytes32 evidence)");

    IR1 public immutable r1 = new R1();
    INodeDeed public immutable deeds;
    uint256 public immutable threshold;
    uint256 public immutable epochCap;

    uint256 public epoch;
    bytes32 public root;
    uint256 public total;
    mapping(address signer => bool) public isOracle;
    mapping(uint256 deed => uint256) public claimed;

    constructor(
        INodeDeed deeds_,
        address[] memory oracles,
        uint256 threshold_,
        uint256 epochCap_
    ) EIP712("tinyren Settlement", "1") {
        if (threshold_ == 0 || threshold_ > oracles.length) revert WrongOracles(threshold_, oracles.length);
        for (uint256 i = 0; i < oracles.length; ++i) {
            if (isOracle[oracles[i]]) revert WrongOracles(threshold_, oracles.length);
            isOracle[oracles[i]] = true;
        }
        deeds = deeds_;
        threshold = threshold_;
        epochCap = epochCap_;
    }

    function post(
        uint256 epoch_,
        bytes32 root_,
        uint256 total_,
        bytes32 evidence,
        bytes[] calldata signatures
    ) external {
        if (epoch_ != epoch + 1) revert WrongEpoch(epoch_, epoch + 1);
        if (total_ < total) revert TotalShrinks(total_, total);
        if (total_ - total > epochCap) revert TotalTooHigh(total_ - total, epochCap);
        if (total_ > R1_CAP) revert TotalTooHigh(total_, R1_CAP);
        _checkQuorum(_hashTypedDataV4(keccak256(abi.encode(ROOT, epoch_, root_, total_, evidence))), signatures);
        epoch = epoch_;
        root = root_;
        total = total_;
        emit RootPosted(epoch_, root_, total_, evidence);
    }

    function claim(uint256 deed, uint256 cumulative, bytes32[] calldata proof) external {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(deed, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert WrongProof(deed, cumulative);
        uint256 paid = claimed[deed];
        if (cumulative <= paid) revert NothingToClaim(deed, paid, cumulative);
        claimed[deed] = cumulative;
        uint256 amount = cumulative - paid;
        uint256 supply = r1.totalSupply() + amount;
        if (supply > total) revert ExceedsAttested(supply, total);
        address owner = deeds.ownerOf(deed);
        emit Claimed(deed, owner, amount, cumulative);
        r1.mint(owner, amount);
    }

    function _checkQuorum(bytes32 digest, bytes[] calldata signatures) private view {
        if (signatures.length < threshold) revert TooFewSignatures(signatures.length, threshold);
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            if (signer <= previous) revert SignersNotAscending(previous, signer);
            if (!isOracle[signer]) revert NotOracle(signer);
            previous = signer;
        }
    }
}
