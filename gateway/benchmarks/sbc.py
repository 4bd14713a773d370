"""Memory of the agent as a process of this computer, as a small Linux computer runs it, on a real broker.

It is measured after the agent was bound, got its model's first beacon and had a heartbeat verified: nothing that it
imports late is left out. PSS counts a page that n processes share as one n-th, and here other Pythons share some; RSS
counts each page whole, so on a computer with nothing else the figure is between the two.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil

from gateway.benchmarks.deeploy import Fleet, start_agent
from gateway.progress import Progress


def measure(folder: Path, progress: Progress) -> dict[str, int]:
    """{"pss_bytes", "rss_bytes"} of one agent."""
    with tempfile.TemporaryDirectory(dir=folder) as work, ExitStack() as ends:
        Fleet(Path(work), [start_agent], ends, progress)
        (agent,) = (one for one in psutil.Process().children() if "device.agent" in one.cmdline())
        memory = agent.memory_full_info()
        return {"pss_bytes": memory.pss, "rss_bytes": memory.rss}
