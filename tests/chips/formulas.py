"""What raw readings mean, in floating point as the data sheets write it; CPython only, to compare the drivers with."""


def bme280(words, humidity, temperature, pressure, humid):
    """degC, Pa, %RH. BST-BME280-DS002, appendix 8.1."""
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9 = words
    h1, h2, h3, h4, h5, h6 = humidity
    fine = (temperature / 16384 - t1 / 1024) * t2 + (temperature / 131072 - t1 / 8192) ** 2 * t3
    a = fine / 2 - 64000
    b = (a * a * p6 / 32768 + a * p5 * 2) / 4 + p4 * 65536
    a = (1 + (p3 * a * a / 524288 + p2 * a) / 524288 / 32768) * p1
    pascal = (1048576 - pressure - b / 4096) * 6250 / a
    pascal += (p9 * pascal * pascal / 2147483648 + pascal * p8 / 32768 + p7) / 16
    v = fine - 76800
    v = (humid - (h4 * 64 + h5 / 16384 * v)) * (h2 / 65536 * (1 + h6 / 67108864 * v * (1 + h3 / 67108864 * v)))
    return fine / 5120, pascal, max(0, min(100, v * (1 - h1 * v / 524288)))


def dps310(coefficients, pressure, temperature):
    """degC, Pa, of 8 conversions and of one; coefficients: c0, c1, c00, c10, c01, c11, c20, c21, c30."""
    c0, c1, c00, c10, c01, c11, c20, c21, c30 = coefficients
    p, t = pressure / 7864320, temperature / 524288
    return c0 / 2 + c1 * t, c00 + p * (c10 + p * (c20 + p * c30)) + t * (c01 + p * (c11 + p * c21))


def dps310_coefficients(data):
    """The nine, of the 18 bytes from register 0x10 on, read as one number from the left."""
    bits, values = int.from_bytes(data, "big"), []
    left = 8 * len(data)
    for size in (12, 12, 20, 20, 16, 16, 16, 16, 16):
        left -= size
        value = bits >> left & (1 << size) - 1
        values.append(value - (value >> size - 1 << size))
    return values
