"""A node that makes a reading every few milliseconds, for benchmarks that kill it.

`python -m benchmarks.stream PORT JOURNAL EVERY_S`: prints each reading's id once it is safe to
say that it was made, until it is killed.
"""

import secrets
import sys
import time
from pathlib import Path

import msgspec

from affectd.daemon.publish import connection
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.messages import iso
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.settings import Mqtt
from tests.publish.samples import utterance

NODE = "kitchen"


def main() -> None:
    """Publish until the end."""
    port, path, every_s = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    connection.FIRST_PAUSE_S = connection.LONGEST_PAUSE_S = 0.05  # type: ignore[misc]
    journal = Journal(path, rows=1_000_000, days=365)
    settings = Mqtt(host="127.0.0.1", port=port, history_per_s=1000)
    publisher = MqttPublisher(settings, NODE, None, journal)
    publisher.start()
    while True:
        message = msgspec.structs.replace(utterance(secrets.token_hex(8)), time=iso(time.time()))
        publisher.utterance(message)
        print(message.id, flush=True)
        time.sleep(every_s)


if __name__ == "__main__":
    main()
