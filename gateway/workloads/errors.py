"""How a workload says that it cannot run; after each of these, what ran before still runs."""


class WorkloadError(Exception):
    """What was asked for cannot be done. The message says what was got, what was wanted and what to do next."""


class Invalid(WorkloadError):
    """A job's table says something that no workload can be."""


class Refused(WorkloadError):
    """Bytes from outside are not what they are said to be, or this machine cannot hold a limit that was asked for."""


class Unavailable(WorkloadError):
    """What runs jobs does not answer, or is not installed; nothing is known of its jobs until it does."""
