"""How loud a block of sound is, in two numbers: it keeps no sound, and weighs nothing as ears do.

The offset that microphones have is taken off; then the mean of the absolute frames, and the largest. A mean of squares
would not fit the integers that a 32-bit MicroPython has without allocating.
"""

UNITS = ("mean, 1/32768 of full scale", "peak, 1/32768 of full scale")


def write_level(name, frames, first, step, out, offset):
    """Write mean and peak of every step-th of frames, from first on, to out[offset:offset + 2].

    Raises:
        OSError: all frames are alike, as on a line that nobody drives; out is unchanged.
    """
    count = len(frames) // step
    total = differs = 0
    for i in range(count):  # a range with a step would be an object on the heap
        frame = frames[first + i * step]
        total += frame
        differs |= frame ^ frames[first]
    if not differs:
        raise OSError(5, f"{name}: all frames are {frames[first]}, wanted a microphone on the line")
    centre = total // count
    total = peak = 0
    for i in range(count):
        distance = abs(frames[first + i * step] - centre)
        total += distance
        peak = max(peak, distance)
    out[offset] = min(0x7FFF, total // count)
    out[offset + 1] = min(0x7FFF, peak)
