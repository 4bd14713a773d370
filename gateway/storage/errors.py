"""How a store of content says that it cannot do what it was asked; nothing that it acknowledged before is touched."""


class StoreError(Exception):
    """The store cannot be read or written: no space, no such folder, an engine that does not answer."""


class Missing(StoreError):
    """A block is not here and no peer has it."""


class Damaged(StoreError):
    """A block here has other bytes than its name says, and no peer has the right ones."""


class Refused(StoreError):
    """Bytes or arguments from outside are not what they are said to be, or more than was allowed."""
