"""A site's folder whose chain a node serves, and `tinyren` run on it, for tests of commands over contracts."""

import json

from gateway import cli
from gateway.settlement import council, escrow, ledger
from gateway.settlement.settlement import NOBODY
from gateway.settlement.tree import Leaves, Trees, add_epoch
from gateway.site import site_file
from tests.chain_node import Node
from tests.contract_scene import ANYONE, OWNERS, PAYER, key, make_scene

R1 = 10**18
BROKE = key("broke")


class Site:
    """A node's chain, an escrow and the leaves of each epoch; A has 100 R1 of deed 1, and epoch 1 is settled."""

    def __init__(self, folder, capsys, founder=None):
        """founder: the key of the council that governs it, which is not founded; None: it has none."""
        self.folder, self._capsys = folder, capsys
        governor = council.timelock_by(founder) if founder else NOBODY
        self.scene = made = make_scene(folder / "chain.sqlite", governor=governor)
        if founder:
            (folder / "keys").mkdir()
            (folder / "keys" / "council.key").write_text(founder.secret.hex())
        self.node = Node(made.chain)
        self.leaves = Leaves(deeds=((1, 100 * R1),))
        self.settle(self.leaves)
        made.settlement.claim(1, *Trees(self.leaves).deed(1))
        contracts = {name: value for name, value in vars(made.settlement.contracts).items() if value}
        self.escrow = escrow.deploy(made.chain, PAYER, contracts["settlement"], contracts["r1"], grace_epochs=1)
        contracts["escrow"] = self.escrow.address
        site = site_file.Site(boards=[], contracts=contracts, chain_rpc=self.node.url, chain_external=True)
        site_file.write(folder, site)
        named = {"a": OWNERS[0], "b": OWNERS[1], "anyone": ANYONE, "broke": BROKE, "payer": PAYER}
        for name, secret in named.items():
            (folder / name).write_text(secret.secret.hex())

    def settle(self, leaves):
        """Post the next epoch's root, and keep its leaves as the settler does."""
        self.leaves = leaves
        root, total = Trees(leaves).root, leaves.total_wei
        self.scene.post({1: total}, root=root)
        epoch = self.scene.settlement.epoch()
        settled = ledger.Settled(
            epoch=epoch, windows=4, availability={}, leaves=leaves, root=root, total=total,
            evidence=bytes(32), minted=0, units={}, frauds=(), tx="", signers=(),
        )  # fmt: skip
        ledger.write(self.folder / "settlement", settled)

    def work(self, units):
        """An epoch in which deeds delivered these units by (job, deed)."""
        raw = bytes.fromhex(self.escrow.address[2:])
        self.settle(add_epoch(self.leaves, {}, {}, set(), {(raw, *at): count for at, count in units.items()}))

    def run(self, *words, key=""):
        """(exit code, stdout, stderr) of `tinyren`."""
        more = ["--key", self.folder / key] if key else []
        code = cli.main([str(word) for word in (*words, "--site", self.folder, *more)])
        return code, *self._capsys.readouterr()

    def json(self, *words, key=""):
        code, out, err = self.run(*words, "--json", key=key)
        assert (code, err) == (0, "")
        return json.loads(out)

    def close(self):
        self.node.stop()
        self.scene.chain.close()
