// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IBurnable} from "./interfaces/IBurnable.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// @title Escrow of one token for jobs, settled by the settlement's roots.
contract Escrow is IEscrow, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    bytes32 private constant WORK = keccak256("tinyren work");
    address private constant DEAD = 0x000000000000000000000000000000000000dEaD;
    uint256 private constant BURNED_PERCENT = 15;
    uint256 private constant MOST_EPOCHS = 10_000;
    uint256 private constant MOST_WORKERS = 100;

    ISettlement public immutable settlement;
    IERC20 public immutable token;
    uint64 public immutable grace;
    uint64 public immutable patience;

    uint256 public count;
    mapping(uint256 job => mapping(uint256 deed => uint256)) public delivered;
    mapping(uint256 job => Job) private _jobs;
    mapping(uint256 job => mapping(uint256 deed => bool)) private _workers;

    constructor(ISettlement settlement_, IERC20 token_, uint64 grace_, uint64 patience_) {
        (settlement, token, grace, patience) = (settlement_, token_, grace_, patience_);
    }

    function jobOf(uint256 job) external view returns (Job memory) {
        return _jobs[job];
    }

    function jobs(uint256 first, uint256 last) external view returns (Job[] memory page) {
        if (last > count) last = count;
        page = new Job[](last < first ? 0 : last - first + 1);
        for (uint256 i = 0; i < page.length; ++i) page[i] = _jobs[first + i];
    }

    function isWorker(uint256 job, uint256 deed) public view returns (bool) {
        return _jobs[job].isForAny || _workers[job][deed];
    }

    function areWorkers(uint256 job, uint256[] calldata deeds) external view returns (bool[] memory are) {
        are = new bool[](deeds.length);
        for (uint256 i = 0; i < deeds.length; ++i) are[i] = isWorker(job, deeds[i]);
    }

    function open(
        bytes32 model,
        bool isMeasured,
        uint128 price,
        uint128 cap,
        uint64 epochs,
        uint256[] calldata workers
    ) external nonReentrant returns (uint256 job) {
        if (model == 0) revert NoModel();
        if (price == 0 || cap < price || epochs == 0 || epochs > MOST_EPOCHS || workers.length > MOST_WORKERS) {
            revert WrongTerms(price, cap, epochs, workers.length);
        }
        job = ++count;
        uint64 first = uint64(settlement.epoch()) + 2;
        _jobs[job] = Job({
            buyer: msg.sender,
            openedAt: uint64(block.timestamp),
            isClosed: false,
            isForAny: workers.length == 0,
            isMeasured: isMeasured,
            first: first,
            last: first + epochs - 1,
            price: price,
            cap: cap,
            paid: 0,
            model: model
        });
        for (uint256 i = 0; i < workers.length; ++i) _workers[job][workers[i]] = true;
        emit Opened(job, msg.sender, model, isMeasured, price, cap, first, first + epochs - 1);
        _deposit(cap);
    }

    function claim(uint256 job, uint256 deed, uint256 units, bytes32[] calldata proof) external nonReentrant {
        Job storage terms = _open(job);
        bytes32 root = settlement.root();
        if (!MerkleProof.verifyCalldata(proof, root, _leaf(job, deed, units))) revert WrongWorkProof(job, deed, units);
        address owner = settlement.deeds().ownerOf(deed);
        (uint256 amount, uint256 burned) = _deliver(job, terms, deed, owner, units);
        if (amount == 0) revert NoNewUnits(job, deed, delivered[job][deed], units);
        _pay(owner, amount, burned);
    }

    function claimMany(
        uint256 job,
        Work[] calldata works,
        bytes32[] calldata proof,
        bool[] calldata flags
    ) external nonReentrant {
        Job storage terms = _open(job);
        bytes32[] memory leaves = new bytes32[](works.length);
        for (uint256 i = 0; i < works.length; ++i) leaves[i] = _leaf(job, works[i].deed, works[i].units);
        if (!MerkleProof.multiProofVerifyCalldata(proof, flags, settlement.root(), leaves)) revert WrongProofOfWorks(job);
        (address owner, uint256 amount, uint256 burned) = _deliverAll(job, terms, works);
        if (amount == 0) revert NoNewUnitsOfMany(job);
        _pay(owner, amount, burned);
    }

    function cancel(uint256 job) external nonReentrant {
        Job storage terms = _open(job);
        if (msg.sender != terms.buyer) revert NotBuyer(msg.sender, job);
        uint64 running = uint64(settlement.epoch()) + 1;
        if (running < terms.first) return _refund(job, terms);
        if (running + 1 < terms.last) terms.last = running + 1;
        emit Ended(job, terms.last);
    }

    function refund(uint256 job) external nonReentrant {
        Job storage terms = _open(job);
        (uint256 inForce, ) = settlement.inForce();
        uint256 heardAt = settlement.activeAt();
        if (heardAt < terms.openedAt) heardAt = terms.openedAt;
        bool isStalled = block.timestamp > heardAt + patience;
        if (inForce < terms.last + grace && !isStalled) revert NotOver(job, inForce, terms.last + grace);
        _refund(job, terms);
    }

    function _deposit(uint256 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 got = token.balanceOf(address(this)) - before;
        if (got != amount) revert WrongDeposit(got, amount);
    }

    function _open(uint256 job) private view returns (Job storage terms) {
        terms = _jobs[job];
        if (terms.buyer == address(0)) revert NoJob(job);
        if (terms.isClosed) revert JobIsClosed(job);
    }

    function _leaf(uint256 job, uint256 deed, uint256 units) private view returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(WORK, address(this), job, deed, units))));
    }

    function _deliverAll(
        uint256 job,
        Job storage terms,
        Work[] calldata works
    ) private returns (address owner, uint256 amount, uint256 burned) {
        for (uint256 i = 0; i < works.length; ++i) {
            uint256 deed = works[i].deed;
            address itsOwner = settlement.deeds().ownerOf(deed);
            if (i == 0) owner = itsOwner;
            if (itsOwner != owner) revert OtherOwner(deed, itsOwner, owner);
            (uint256 more, uint256 fire) = _deliver(job, terms, deed, owner, works[i].units);
            (amount, burned) = (amount + more, burned + fire);
        }
    }

    /// @dev Counts `units` as delivered by `deed`; what is to be paid and burned for them, 0 where that many were paid before.
    function _deliver(
        uint256 job,
        Job storage terms,
        uint256 deed,
        address owner,
        uint256 units
    ) private returns (uint256 amount, uint256 burned) {
        if (!isWorker(job, deed)) revert NotWorker(job, deed);
        uint256 before = delivered[job][deed];
        if (units <= before) return (0, 0);
        delivered[job][deed] = units;
        (amount, burned) = _charge(job, terms, before, units);
        emit Paid(job, deed, owner, units, amount, burned);
    }

    /// @dev Takes the price of units `from` to `to` out of the deposit: what the worker gets, and what is burned.
    function _charge(
        uint256 job,
        Job storage terms,
        uint256 from,
        uint256 to
    ) private returns (uint256 amount, uint256 burned) {
        (uint256 price, uint256 cap) = (terms.price, terms.cap);
        if (to > cap / price) revert ExceedsCap(job, to, cap / price);
        uint256 cost = (to - from) * price;
        uint256 all = terms.paid + cost;
        if (all > cap) revert ExceedsCap(job, all, cap);
        terms.paid = uint128(all);
        burned = (to * price * BURNED_PERCENT) / 100 - (from * price * BURNED_PERCENT) / 100;
        amount = cost - burned;
    }

    function _pay(address owner, uint256 amount, uint256 burned) private {
        token.safeTransfer(owner, amount);
        if (address(token) == address(settlement.r1())) IBurnable(address(token)).burn(burned);
        else token.safeTransfer(DEAD, burned);
    }

    function _refund(uint256 job, Job storage terms) private {
        terms.isClosed = true;
        uint256 rest = terms.cap - terms.paid;
        emit Refunded(job, terms.buyer, rest);
        token.safeTransfer(terms.buyer, rest);
    }
}
