"""What people look for in the service's own log: each has an ID in the journal that stays."""

from enum import Enum
from typing import Any


class Event(Enum):
    """By its name in small letters, and the ID of such messages. Source: sd-id128(3)."""

    LISTENING = "4ab93a958bdd4d7ca3a2929ea4041a59"
    SILENT = "eed8dff362974798ae469afc43a66f9e"
    LOST = "f408458153d14d39be7cb46f990a1867"
    PAUSED = "5bf599d90ca44729afe9aa595a4da72f"
    FAILED = "9f1bdc5aa444414ab549a60e8e4eac6f"
    BROKER_UP = "9d9391221f1c4fc6acb2fa8117cb1dd2"
    BROKER_DOWN = "c93b768672334b17bb28bff55256254b"
    RELOADED = "77254f7126294c24b08618cc50ca218b"
    RELOAD_REFUSED = "5686cfe4511247e4b8ffc3d0497d9c86"


def about(node: str = "", event: Event | None = None) -> dict[str, Any]:
    """What a line is about, as the `extra` of a call of the logger."""
    return {"node": node, "event": event}
