"""Samples from a thermometer and a magnetometer on this board: it joins their readings, and keeps no time.

A sample is int16[4]: temperature in 1/256 degC, then x, y, z in counts.
"""


class SampleSource:
    """A source of samples.

    Args:
        thermometer: a driver whose `read` gives one value (tmp105.Tmp105).
        magnetometer: a driver whose `read` gives three (lsm303dlhc.Lsm303dlhc).
    """

    def __init__(self, thermometer, magnetometer):
        self._thermometer = thermometer
        self._magnetometer = magnetometer
        self.name = thermometer.name + "+" + magnetometer.name

    def read(self, out):
        """Write the present sample to out, array('h') of 4, the caller's. True: there is always one.

        Raises:
            OSError: a chip does not answer; the message names it.
        """
        self._thermometer.read(out, 0)
        self._magnetometer.read(out, 1)
        return True
