// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ISettlement} from "./ISettlement.sol";

/// @title Jobs that buyers pay for by unit of work (PoAI), in one token.
/// @notice A job says of which model it buys runs, and whether those are runs of devices that oracles drew and verified, or what a gateway
/// measured of its own containers and modules. A buyer deposits the most that a job may cost. The settlement's root holds the units that each deed delivered for it (the
/// work tree), so the same quorum attests them; anyone brings the proof. Of each payment 85 % goes to the deed's owner of now
/// and 15 % is burned; both are computed on cumulative amounts, so it does not matter in how many claims they are
/// taken. Work counts in the job's epochs only, and a part of an epoch counts by its units. What was not delivered goes
/// back to the buyer, when workers had time to claim. What is not R1 is burned by sending it to DEAD.
interface IEscrow {
    /// @notice `price` a unit, `cap` the deposit and `paid` what left it to workers and fire, in the token's base units.
    /// Work of epochs `first` to `last` counts, both included.
    /// @param model SHA-256 of the model, whose CID is the bytes 0x01 0x55 0x12 0x20 before it.
    /// @param isMeasured Units are what the deed's gateway measured, which nobody can check again; else verified inferences.
    struct Job {
        address buyer;
        uint64 openedAt;
        bool isClosed;
        bool isForAny;
        bool isMeasured;
        uint64 first;
        uint64 last;
        uint128 price;
        uint128 cap;
        uint128 paid;
        bytes32 model;
    }

    /// @notice All `units` that `deed` delivered for a job.
    struct Work {
        uint256 deed;
        uint256 units;
    }

    event Opened(
        uint256 indexed job,
        address indexed buyer,
        bytes32 indexed model,
        bool isMeasured,
        uint256 price,
        uint256 cap,
        uint64 first,
        uint64 last
    );
    event Ended(uint256 indexed job, uint64 last);
    event Paid(uint256 indexed job, uint256 indexed deed, address indexed owner, uint256 units, uint256 amount, uint256 burned);
    event Refunded(uint256 indexed job, address indexed buyer, uint256 amount);

    /// @notice There is no such job.
    error NoJob(uint256 job);
    /// @notice The job was refunded; nothing is left of it.
    error JobIsClosed(uint256 job);
    /// @notice A job is for a model.
    error NoModel();
    /// @notice A price of 0, a deposit below the price of a unit, no epoch or more than 10,000, more than 100 workers.
    error WrongTerms(uint128 price, uint128 cap, uint64 epochs, uint256 workers);
    /// @notice The token moved `got` where `wanted` was to be deposited.
    error WrongDeposit(uint256 got, uint256 wanted);
    /// @notice `caller` is not the buyer of `job`.
    error NotBuyer(address caller, uint256 job);
    /// @notice `deed` is not among those that `job` is for.
    error NotWorker(uint256 job, uint256 deed);
    /// @notice The proof does not lead from (this escrow, job, deed, units) to the root in force.
    error WrongWorkProof(uint256 job, uint256 deed, uint256 units);
    /// @notice `deed` was paid for `claimed` units already, which is not less than `units`.
    error NoNewUnits(uint256 job, uint256 deed, uint256 claimed, uint256 units);
    /// @notice The proof does not lead from all these works for `job` to the root in force.
    error WrongProofOfWorks(uint256 job);
    /// @notice `deed` is `got`'s, works that are claimed together have one owner, here `wanted`.
    error OtherOwner(uint256 deed, address got, address wanted);
    /// @notice All of these works were paid already, or there are none.
    error NoNewUnitsOfMany(uint256 job);
    /// @notice The job would cost `got`, its deposit is `cap`.
    error ExceedsCap(uint256 job, uint256 got, uint256 cap);
    /// @notice The job is refunded when the root of epoch `wanted` is in force; that of `got` is.
    error NotOver(uint256 job, uint256 got, uint256 wanted);

    function settlement() external view returns (ISettlement);
    function token() external view returns (IERC20);

    /// @notice Epochs that workers have to claim after a job's last one.
    function grace() external view returns (uint64);

    /// @notice Seconds without any new root after which buyers are refunded all the same.
    function patience() external view returns (uint64);

    /// @notice Jobs opened so far; the last one's number.
    function count() external view returns (uint256);

    /// @notice A job; all zero if there is none.
    function jobOf(uint256 job) external view returns (Job memory);

    /// @notice Jobs `first` to `last`, both included and cut at the number of jobs. For eth_call.
    function jobs(uint256 first, uint256 last) external view returns (Job[] memory);

    /// @notice Whether work of `deed` counts for `job`.
    function isWorker(uint256 job, uint256 deed) external view returns (bool);

    /// @notice The same of many deeds.
    function areWorkers(uint256 job, uint256[] calldata deeds) external view returns (bool[] memory);

    /// @notice The units that `deed` was paid for.
    function delivered(uint256 job, uint256 deed) external view returns (uint256);

    /// @notice Deposit `cap` for a job that begins with the epoch after the next one to be posted.
    /// @param workers The deeds whose work counts; none means any.
    /// @return job Its number, from 1.
    function open(
        bytes32 model,
        bool isMeasured,
        uint128 price,
        uint128 cap,
        uint64 epochs,
        uint256[] calldata workers
    ) external returns (uint256 job);

    /// @notice Pay for the units that `deed` delivered and was not paid for. Anyone may call it.
    /// @param units All that it delivered for the job, as the root in force holds it.
    function claim(uint256 job, uint256 deed, uint256 units, bytes32[] calldata proof) external;

    /// @notice The same for several deeds of one owner. Works that were paid already are passed over, so nobody can spoil it
    /// by claiming one of them. Anyone may call it.
    /// @param works In the order in which the proof takes them (OpenZeppelin's MerkleProof.multiProofVerify).
    function claimMany(uint256 job, Work[] calldata works, bytes32[] calldata proof, bool[] calldata flags) external;

    /// @notice End a job early. Buyer only: before its first epoch runs all of it comes back at once; later its last epoch is
    /// the one after the next to be posted, so that work that is under way is paid.
    function cancel(uint256 job) external;

    /// @notice Give the buyer what was not delivered: `grace` epochs after the last one, or after `patience` without any root.
    /// Anyone may call it.
    function refund(uint256 job) external;
}
