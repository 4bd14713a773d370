"""Who in a running site gets which message of the broker, by its topic; reads no payload itself."""

from contextlib import ExitStack

from gateway.aggregation import receiver
from gateway.aggregation.service import Aggregation
from gateway.binding.service import BindingService
from gateway.broker.accounts import RESPONSE_TOPIC
from gateway.broker.bus import Bus, Token
from gateway.broker.device_accounts import DeviceAccounts
from gateway.deeploy import receiver as deeploy_receiver
from gateway.errors import CommandError, Exit
from gateway.intake import intake
from gateway.intake.dauth import DAuth
from gateway.intake.epochs import Epochs
from gateway.intake.intake import Intake
from gateway.settlement.settler import Settler
from gateway.site.threads import Threads
from gateway.site.workers import Workers

SUBSCRIBE_S = 10
ORACLE_PREFIX = "tinyren/oracle/"


class Hearing:
    """Takes each message on the bus's thread and hands it on at once.

    Args:
        edil: EDIL, and what runs it in its thread; jobs: what runs Deeploy.

    Attributes:
        intake: gets whatever is of no other part.
    """

    def __init__(
        self,
        bus: Bus,
        settler: Settler,
        accounts: DeviceAccounts,
        edil: tuple[Aggregation, receiver.Receiver],
        jobs: deeploy_receiver.Receiver,
        dauth: DAuth,
        binding: BindingService,
    ) -> None:
        self._bus, self._settler, self._accounts, self._jobs = bus, settler, accounts, jobs
        self._aggregation, self._edil = edil
        self._dauth, self._binding = dauth, binding
        self.intake = Intake(self._bound, jobs.deeploy.gone, self._announced, accounts.entered)

    def listen(self, workers: Workers, place: str, is_own_broker: bool, ends: ExitStack) -> None:
        """Start the bus, and wait until it hears: boards announce themselves once, so somebody has to listen by then.

        Args:
            place: where the broker is, in words; is_own_broker: whether it answers as to accounts, too.

        Raises:
            CommandError: the broker granted no subscription in time.
        """
        workers.subscribe(*intake.TOPICS)
        self._bus.subscribe(*receiver.TOPICS, *deeploy_receiver.TOPICS, ORACLE_PREFIX + "#")
        if is_own_broker:
            self._bus.subscribe(RESPONSE_TOPIC)
        self._bus.publish(intake.BEACON_TOPIC, b"", qos=1, retain=True)
        self._bus.start()
        ends.callback(self._bus.stop)
        if not self._bus.wait_subscribed(SUBSCRIBE_S):
            got = f"the broker on {place} granted no subscription within {SUBSCRIBE_S} s"
            raise CommandError(f"{got}; see its log, and whether the gateway may read tinyren/#", Exit.TIMEOUT)

    def start(self, threads: Threads, workers: Workers, epochs: Epochs) -> None:
        """Have what was heard dealt with, each part in its own thread."""
        threads.start("intake", self.intake, workers, epochs)
        threads.start("edil", self._edil, self._bus)
        threads.start("deeploy", self._jobs, self._bus)

    def received(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        """Hand a message on to whom it is for; it is acknowledged to the broker by `token`, here or there."""
        if topic.startswith(ORACLE_PREFIX):
            self._settler.receive(payload)
            self._bus.ack(token)
        elif topic == RESPONSE_TOPIC:
            self._accounts.answered(payload)
            self._bus.ack(token)
        elif topic.rpartition("/")[2] in receiver.NAMES:
            self._edil.offer(topic, payload, receipt_ms, token)
        elif topic.rpartition("/")[2] in deeploy_receiver.NAMES:
            self._jobs.offer(topic, payload, receipt_ms, token)
        else:
            self.intake.offer(topic, payload, receipt_ms, token)

    def _bound(self, device: bytes, nonce: int, signature: bytes) -> None:
        self._dauth.answer(device, nonce, signature)
        self._binding.answer(device, nonce, signature)

    def _announced(self, device: bytes) -> None:
        self._aggregation.greet(device)
        self._jobs.deeploy.greet(device)
