"""EDIL on the device: enrols, joins rounds, sends their ciphertexts; no I/O. It refuses to encrypt twice in a round.

Rules (EDIL.md):
  1. Keys come of an enrolment that the owner signed, and are in RAM only, within the function that uses them.
  2. A round is stored before its ciphertext is made. Only a round above the stored one, and above the one that the
     device is in, is joined; the same manifest again changes nothing.
  3. A round's memory is taken when it is joined and freed when it ends; what does not fit is refused as `bounds`.
  4. Enrolments and manifests are answered on tinyren/ID/edil; what is refused changes nothing but `counts`.

  state     leaves to  when
  no round  adding     a manifest is accepted
  adding    sending    `windows` are added up, or duration_ms are over and one is; kind 4: each window; kind 5: at once
  sending   no round   the gateway says `taken`, or it was sent as often as it may be; kind 4: adding, until `windows`
  any       no round   another enrolment, or the store or the memory fails; a newer manifest replaces the round
"""

import hashlib

from . import eip712, hkdf, rounds, statistics, wire
from .errors import StoreError, WireError
from .identity import compress, device_id
from .mqtt import QUEUE
from .update import Update
from .upload import Upload

ANSWERS_QUEUED = QUEUE // 2  # with fewer messages waiting one more answer is queued; above that it is left out


class Enrolment:
    """digest (of the Enrolment), holders (digest of their keys), data_owner (its compressed key, 33 bytes), and

    s_keys(manifest digest, index, of how many holders at most) -> 32 bytes of each, joined.
    """

    def __init__(self, identity, digest, holders, keccak):
        """holders: their compressed keys. Raises ValueError: one of them is no point of the curve."""
        self.digest = digest
        self.holders = eip712.holders_digest(keccak, holders)
        self.data_owner = holders[0]
        keys = [hkdf.holder_key(identity.agree(holder), digest, identity.id, holder) for holder in holders]
        self.s_keys = lambda manifest, index, most: b"".join([hkdf.s_key(key, manifest, index) for key in keys[:most]])


class Edil:
    """counts (dict of int), label (class of the device's windows, or None)."""

    def __init__(self, identity, store, sampler, model_cid: bytes, client, port, vector=None):
        """
        Args:
            identity: identity.Identity. store: store.Store after open. sampler: sampling.Sampler, which it listens to.
            client: mqtt.Client. port: has entropy, keccak256, recover, encrypt and add_moments, as `_tinyren`.
            vector: function -> list of integers that rounds of kind 5 ask for, or None; may raise OSError, ValueError.
        """
        self.counts = {"left_out": 0, "refused": 0, "stored": 0, "unanswered": 0, "unlabelled": 0, "untaken": 0}
        self.label = None
        self._identity = identity
        self._store = store
        self._sampler = sampler
        self._model_cid = model_cid
        self._client = client
        self._port = port
        self._vector = vector
        self._enrolment = None
        self._update = None
        self._is_mixed = False  # whether the window that fills began under another label
        sampler.listeners.append(self._add)

    def tick(self, now_ms: int):
        """Do what is due; to be called often, as a device that takes samples is."""
        if self._update is None:
            return
        try:
            self._update.pass_time(now_ms)
            if self._update.is_due:
                self._encrypt(now_ms)
            if self._update is not None and self._update.upload:
                self._send(now_ms)
        except MemoryError:
            if self._update is not None:
                self._stop("bounds", now_ms)

    def receive(self, name: str, payload, now_ms: int):
        """Take a message on the topic of that name: "enrol", "round", "label" or "taken".

        Raises:
            WireError: it is no label, or no answer of the gateway.
        """
        if name == "enrol":
            digest, status = self._enrol(bytes(payload))
            self._answer(digest, status, now_ms)
        elif name == "round":
            self._answer(hashlib.sha256(payload).digest(), self._join(bytes(payload), now_ms), now_ms)
        elif name == "label":
            self._take_label(rounds.decode_label(payload))
        else:
            self._take_taken(*rounds.decode_taken(payload), now_ms)

    # Enrolment

    def _enrol(self, frame):
        """Take an enrolment -> (digest of it, or of the frame if there is none, status)."""
        digest = hashlib.sha256(frame).digest()
        try:
            chain_id, contract, holders, number, signature = rounds.decode_enrol(frame)
        except WireError:
            return digest, "malformed"
        owner, keccak = self._store.owner, self._port.keccak256
        if owner is None:
            return digest, "unbound"
        digest = eip712.enrolment_digest(keccak, chain_id, contract, owner, holders, number)
        public_key = self._recover(digest, signature[:64], signature[64] - 27)
        if not public_key or device_id(public_key, keccak) != owner:
            return digest, "signature"
        if number < self._store.number:
            return digest, "number"
        if self._enrolment is None or digest != self._enrolment.digest:
            try:
                enrolment = Enrolment(self._identity, digest, holders, keccak)
                if number > self._store.number:
                    self._store.enrol(number)
            except ValueError:
                return digest, "holders"
            except StoreError:
                return digest, "store"
            self._enrolment, self._update = enrolment, None
        return digest, "enrolled"

    def _recover(self, digest, signature, recovery_id):
        try:
            return self._port.recover(digest, signature + bytes([recovery_id]))
        except ValueError:
            return None

    # Rounds

    def _join(self, frame, now_ms):
        """Take a manifest -> status."""
        try:
            manifest, signer, signature, signed = rounds.open_manifest(frame)
        except WireError:
            return "malformed"
        if self._update is None or manifest.digest != self._update.manifest.digest:
            status = self._why_not(manifest)
            if status:
                return status
            if not self._is_data_owners(signer, signature, signed):
                return "signature"
            try:
                vector = self._read_vector(manifest)
                self._update = None  # so that its memory is free for the next
                self._update = Update(manifest, vector, now_ms)
            except (MemoryError, OSError, ValueError):
                return "bounds"
        return "joined"

    def _why_not(self, manifest):
        """Why a manifest cannot be taken whoever signed it, or None."""
        if self._store.owner is None:
            return "unbound"
        if self._enrolment is None or manifest.holders != self._enrolment.holders:
            return "holders"
        if manifest.round <= (self._update.manifest.round if self._update else self._store.round):
            return "round"
        if (manifest.model, manifest.width) != (self._model_cid, self._sampler.output_bytes):
            return "model"
        try:
            statistics.check_fits(manifest)
        except WireError:
            return "bounds"
        if manifest.kind == rounds.DECODER and manifest.first_row + manifest.rows > self._sampler.input_bytes:
            return "bounds"
        return None

    def _is_data_owners(self, signer, signature, signed):
        for recovery_id in (0, 1):
            public_key = self._recover(signed, signature, recovery_id)
            if public_key and compress(public_key) == self._enrolment.data_owner:
                return device_id(public_key, self._port.keccak256) == signer
        return False

    def _read_vector(self, manifest):
        """What kind 5 sends; OSError or ValueError if there is no such vector."""
        if manifest.kind != rounds.VECTOR:
            return ()
        vector = self._vector() if self._vector else ()
        if len(vector) != manifest.rows:
            raise ValueError(f"vector: got {len(vector)} numbers, wanted {manifest.rows}")
        return vector

    def _take_label(self, label):
        if label != self.label:
            self.label = label
            self._is_mixed = self._sampler.is_mid_window

    def _add(self, window, output):
        """Take a window with its embedding; both are good until it returns."""
        is_mixed, self._is_mixed = self._is_mixed, False
        update = self._update
        if update is None or update.manifest.kind == rounds.VECTOR:
            return
        label = getattr(self._sampler.source, "label", None if is_mixed else self.label)
        if update.manifest.kind == rounds.CLASSES and (label is None or label >= update.manifest.classes):
            self.counts["unlabelled"] += 1
        elif not update.add(window, output, label, self._port.add_moments):
            self.counts["left_out"] += 1

    # Ciphertexts

    def _encrypt(self, now_ms):
        """Make the ciphertext of what was added up, once the round is stored."""
        update, enrolment = self._update, self._enrolment
        manifest, index = update.manifest, update.index
        noise = bytearray(32)
        try:
            self._port.entropy(noise)
            if manifest.round != self._store.round:
                self._store.take_part(manifest.round)
        except (OSError, StoreError):
            self._stop("store", now_ms)
            return
        if manifest.kind == rounds.INFERENCE:
            s_keys = enrolment.s_keys(manifest.digest, index, 1)
            a_key = hkdf.a_key(manifest.digest, self._identity.id, index)
        else:
            s_keys = enrolment.s_keys(manifest.digest, 0, rounds.HOLDERS_MAX)
            a_key = hkdf.a_key(manifest.digest)
        ciphertext = update.encrypt(self._port, s_keys, a_key, noise)
        digest = hashlib.sha256(ciphertext).digest()
        identity = self._identity
        header = rounds.sign_update(
            identity.id, identity.sign, manifest.digest, enrolment.digest, index, update.count, digest
        )
        update.upload = Upload(self._client, self._topic, header, digest, ciphertext)

    def _send(self, now_ms):
        upload = self._update.upload
        upload.tick(now_ms)
        if upload.is_given_up:
            self.counts["unanswered"] += 1
            self._go_on()

    def _take_taken(self, manifest, index, status, now_ms):
        update = self._update
        if update and update.upload and (manifest, index) == (update.manifest.digest, update.index):
            self.counts["stored" if status == "stored" else "untaken"] += 1
            self._go_on()

    def _go_on(self):
        if not self._update.go_on():
            self._update = None

    def _stop(self, status, now_ms):
        """End the round for a cause of the device's own, and tell it."""
        digest, self._update = self._update.manifest.digest, None
        self._answer(digest, status, now_ms)

    def _answer(self, digest, status, now_ms):
        if status not in ("enrolled", "joined"):
            self.counts["refused"] += 1
        if self._client.queued < ANSWERS_QUEUED:
            self._client.publish(self._topic("edil"), rounds.encode_status(digest, status), now_ms)

    def _topic(self, name):
        return wire.topic(self._identity.id, name)
