"""What the demo says of its round: sums and head against plain ones, who can read what, bytes and rates."""

import itertools
import time
from typing import Any

import numpy as np

from device.agent import hkdf, rounds, statistics
from gateway.aggregation.updates import Round
from gateway.edil import demo_signals as signals
from gateway.edil import fit, opening
from gateway.edil.demo_round import DemoRound, Finished
from gateway.edil.demo_signals import KINDS
from gateway.edil.demo_site import DemoSite

HELD_OUT = 200
RIDGE = 0.001
MEASURED_S = 0.5
CHANCE = 0.1  # of the values that noise may hit; most of them are large


def describe(site: DemoSite, played: DemoRound, finished: Finished) -> dict[str, Any]:
    """The fields of `--json`, but for instructions and the time."""
    manifest, opened = finished.manifest, finished.opened
    embedded = {device.id: signals.embed(played.raw[device.id], manifest.clip) for device in played.survivors}
    plain = [signals.sum_windows(manifest, z, played.classes[device]) for device, z in embedded.items()]
    labels = np.concatenate([np.full(len(z), played.classes[device]) for device, z in embedded.items()])
    encrypted, pooled = compare_heads(finished, np.concatenate(list(embedded.values())), labels)
    sent = messages_of(site, played.survivors[0].id)
    return {
        "survivors": len(opened.checked.devices),
        "dropped": len(played.dropped),
        "rejected": {"residue": site.aggregation.rejected["residue"]},
        "aggregate_equal": opened.values == np.sum(plain, axis=0).tolist(),
        "accuracy_encrypted": encrypted,
        "accuracy_pooled": pooled,
        "upload_bytes": sum(len(payload) for _, payload in sent),
        "ciphertext_bytes": rounds.RINGS[manifest.ring],
        "updates_per_s": measure_updates(site, played, finished),
        "subset_decryptions_failed": do_subsets_fail(finished, join_parts(sent)),
        "windows": opened.checked.windows,
        "page": site.url,
    }


def compare_heads(finished: Finished, z: signals.Ints, labels: signals.Ints) -> tuple[float, float]:
    """Accuracy on held-out windows of the head from the opened sums, and of the one from pooled embeddings."""
    sums = fit.split(finished.manifest, finished.opened.checked.windows, finished.opened.values)
    head = fit.regress(sums, sums.class_z, sums.counts, RIDGE)
    pooled = signals.fit_pooled(z, labels, len(KINDS), RIDGE)
    held_out = [signals.make_windows(7, class_, HELD_OUT) for class_ in range(len(KINDS))]
    unseen = np.concatenate([signals.embed(raw, finished.manifest.clip) for raw in held_out])
    wanted = np.repeat(np.arange(len(KINDS)), HELD_OUT)
    by_pooled = (np.column_stack([unseen, np.ones(len(unseen))]) @ pooled).argmax(axis=1)
    return float((fit.classify(head, unseen) == wanted).mean()), float((by_pooled == wanted).mean())


def do_subsets_fail(finished: Finished, single: bytes) -> bool:
    """Whether nobody who lacks a share reads the aggregate, and all shares together not one device's ciphertext."""
    manifest, wanted = finished.manifest, finished.opened.values
    subsets = itertools.chain.from_iterable(
        itertools.combinations(finished.parts, size) for size in range(len(finished.parts))
    )
    tries = [(finished.closed.aggregate, subset) for subset in subsets] + [(single, tuple(finished.parts))]
    used = statistics.count_values(manifest) * manifest.digits
    for ciphertext, parts in tries:
        s = np.sum([np.zeros(manifest.ring, np.int64), *parts], axis=0)
        read = opening.open_sum(manifest.ring, ciphertext, hkdf.a_key(manifest.digest), s)
        hits = np.array(opening.join_digits(read[:used], manifest.digits)) == np.array(wanted)
        if int(read[-1]) in (1, finished.opened.checked.weights) or hits.mean() > CHANCE:
            return False
    return True


def messages_of(site: DemoSite, device: bytes) -> list[tuple[str, bytes]]:
    """Header and parts that a device sent, (topic, payload), each once and in order."""
    own = dict.fromkeys(item for item in site.sent if item[0].split("/")[1] == device.hex())
    return [item for item in own if not item[0].endswith("/edil")]


def join_parts(sent: list[tuple[str, bytes]]) -> bytes:
    """The ciphertext in the parts of messages_of."""
    return b"".join(rounds.decode_part(payload)[2] for topic, payload in sent if topic.endswith("/part"))


def measure_updates(site: DemoSite, played: DemoRound, finished: Finished) -> int:
    """Updates a second that one core receives and verifies, from the very messages of this round."""
    items = [(*item, 0) for device in played.survivors for item in messages_of(site, device.id)]
    count, spent_s = 0, 0.0
    while spent_s < MEASURED_S:
        updates = site.judge(finished.enrolment, Round(finished.manifest.digest, finished.manifest, {}, True))
        before_s = time.thread_time()  # the demo's devices want the core too
        count += len(updates.decide(items).stored)
        spent_s += time.thread_time() - before_s
    return round(count / spent_s)
