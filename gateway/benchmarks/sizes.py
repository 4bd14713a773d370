"""How much `tinyren bench` measures of what grows with a number; it measures nothing.

WHOLE is what figures and targets are of. QUICK gives every figure a value in the least time, so its rates tell nothing.
"""

from dataclasses import dataclass

from gateway.benchmarks import cstore, deeploy, first_run, gateway, r1fs, scoring, workers


@dataclass(frozen=True)
class Sizes:
    """Of one bench.

    Attributes:
        agents: on this computer that are sent a new encoder.
        batch: boards that are provisioned together.
        devices: that a gateway has enrolled when it starts.
        file_bytes: of the file that R1FS adds and gets.
        first_runs: how many of the boards are taken to a first reward; None: all.
        heartbeats: that wait at a broker for a gateway and its workers.
        scored: numbers of devices whose epoch is scored.
        turns: of CSTORE's writers and the bare disk.
    """

    agents: int = deeploy.AGENTS
    batch: int = first_run.BATCH
    devices: int = gateway.DEVICES
    file_bytes: int = r1fs.FILE_BYTES
    first_runs: int | None = None
    heartbeats: int = workers.DEVICES
    scored: tuple[int, ...] = scoring.COUNTS
    turns: int = cstore.TURNS


WHOLE = Sizes()
QUICK = Sizes(
    agents=3,
    batch=1,
    devices=20,
    file_bytes=16 << 20,
    first_runs=1,
    heartbeats=768,
    scored=scoring.COUNTS[:1],
    turns=1,
)
