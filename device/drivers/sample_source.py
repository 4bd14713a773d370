"""Samples from the sensors of this board: it joins the readings of any drivers in their order, and keeps no time."""

from array import array


class SampleSource:
    """A source of samples.

    Args:
        drivers: sensors (README.md), in the order in which their values go into a sample.
        take: which of all their values, by place, are wanted and in which order; None: all.
    Raises:
        ValueError: no drivers, or a place beyond the values that they have.
    """

    def __init__(self, *drivers, take=None):
        units = [unit for driver in drivers for unit in driver.units]
        self._take = tuple(range(len(units)) if take is None else take)
        if not self._take or min(self._take) < 0 or max(self._take) >= len(units):
            raise ValueError(f"take: got {self._take}, wanted at least one place of 0..{len(units) - 1}")
        self._drivers = drivers
        self._values = array("h", [0] * len(units))
        self.name = "+".join([driver.name for driver in drivers])
        self.units = tuple([units[place] for place in self._take])

    def read(self, out):
        """Write the present sample to the last places of out, array('h'), the caller's. True: there is always one.

        A model of fewer channels than a sample has takes the last ones: an accelerometer's three values are x, y, z.

        Raises:
            OSError: a chip does not answer; the message names it, out is unchanged.
            ValueError: out is too short.
        """
        first = len(out) - len(self._take)
        if first < 0:
            raise ValueError(f"out: got {len(out)} values, wanted at least {len(self._take)}")
        offset = 0
        for driver in self._drivers:
            driver.read(self._values, offset)
            offset += len(driver.units)
        for place in self._take:
            out[first] = self._values[place]
            first += 1
        return True
