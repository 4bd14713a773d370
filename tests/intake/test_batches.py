"""What is queued at once goes into the evidence at once, however much it is."""

from device.agent import reveal
from gateway.intake.intake import MAX_BATCH
from tests.ingest_site import A, Site

WINDOW = bytes(666)


def test_a_whole_batch_of_the_longest_answers_is_stored(tmp_path):
    site = Site(tmp_path)
    site.send((A.topic("announce"), A.announce()))
    places = [(1, 1000 + number, 5, 5) for number in range(MAX_BATCH)]
    frames = [reveal.sign_reveal(A.id, A.sign, *place, WINDOW, b"o", bytes(16)) for place in places]
    assert set(map(len, frames)) == {reveal.REVEAL_MAX_BYTES}
    site.epochs.ingest.challenges.update(dict.fromkeys([(A.id, *place) for place in places], False))
    site.send(*[(A.topic("reveal"), frame) for frame in frames])
    assert site.stored() == frames
