"""What a manifest says (UPDATE.md, section 2), as a value; it checks nothing, which is `suit`'s. It stands alone, so
that a core can keep what runs without the decoders that it was read by.
"""


class Manifest:
    """sequence, kind, board, abi, needs, digest, size, parameters."""

    FIELDS = ("sequence", "kind", "board", "abi", "needs", "digest", "size", "parameters")

    def __init__(self, *values):
        """values: one a field, in their order; parameters as suit.encode_parameters gives them."""
        for index, name in enumerate(self.FIELDS):
            setattr(self, name, values[index])

    def values(self):
        """The fields' values in their order (list)."""
        return [getattr(self, name) for name in self.FIELDS]
