"""A small MQTT broker in this process, so that one command works with nothing else installed."""

import asyncio
import logging
import socket
import threading
from typing import Any, Final, Self

from affectd.daemon.errors import BrokerError
from affectd.daemon.settings import Mqtt

HOST: Final = "127.0.0.1"
START_S: Final = 10.0


class EmbeddedBroker:
    """amqtt on loopback, in a thread of its own, for as long as the context lasts."""

    def __init__(self, port: int) -> None:
        """port: to listen on; 0 takes a free one. Raises BrokerError if amqtt is not installed."""
        try:
            import amqtt.broker  # noqa: F401
        except ImportError as error:
            raise BrokerError(
                "the embedded broker needs amqtt; install it with `pip install 'affectd[broker]'`, "
                "or set mqtt.host to a broker of your own"
            ) from error
        self.port = port or _free_port()
        self._ready = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="broker", daemon=True)

    @property
    def settings(self) -> Mqtt:
        """How to connect to it."""
        return Mqtt(host=HOST, port=self.port, version="3.1.1")

    def __enter__(self) -> Self:
        """Start it. Raises BrokerError if the port is taken."""
        self._thread.start()
        self._ready.wait(START_S)
        if self._problem is not None or not self._ready.is_set():
            raise BrokerError(
                f"the embedded broker cannot listen on {HOST}:{self.port} ({self._problem}); "
                "set mqtt.port to a free one, or use the broker that runs there"
            ) from self._problem
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and wait until it has ended."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S)

    def _serve(self) -> None:
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        broker = _broker(self._config())
        try:
            await broker.start()
        except Exception as error:
            self._problem = error
            return
        finally:
            self._ready.set()
        await self._stop.wait()
        await broker.shutdown()

    def _config(self) -> dict[str, Any]:
        return {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self.port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }


def _broker(config: dict[str, Any]) -> Any:
    """An amqtt broker that sends retained messages to those alone who subscribe to them.

    amqtt 0.12.1 sends each new client all that anybody subscribes to, and loses what a client has
    published that did not stay to read it, such as `mosquitto_pub`.
    """
    from amqtt.broker import Broker
    from amqtt.session import Session

    class Quieter(Broker):  # type: ignore[misc]
        async def _publish_retained_messages_for_subscription(
            self, subscription: tuple[str, int], session: Session
        ) -> None:
            subscribers = self._subscriptions.get(subscription[0], [])
            if any(subscriber is session for subscriber, _ in subscribers):
                await super()._publish_retained_messages_for_subscription(subscription, session)

    return Quieter(config)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port
