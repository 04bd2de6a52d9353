"""Hold announcements against Home Assistant's own schemas; runs inside of it, not of affectd.

The argument is a JSON file, topic -> payload. Prints what is wrong, a line each. What a schema does
not know it drops, so that a key which is missing afterwards is told, too.
"""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from homeassistant import core
from homeassistant.components.mqtt import discovery

SHARED = ("availability", "availability_mode", "qos")


def problems(platform: str, config: dict[str, Any]) -> list[str]:
    """What Home Assistant finds wrong with one entity."""
    module = importlib.import_module(f"homeassistant.components.mqtt.{platform}")
    try:
        checked = module.DISCOVERY_SCHEMA(dict(config))
    except Exception as error:
        return [str(error)]
    return [f"it does not know {key}" for key in config if key not in checked]


async def main() -> None:
    """Check every payload, where Home Assistant does: templates want an instance and its loop."""
    core.HomeAssistant("/config")
    for topic, payload in json.loads(Path(sys.argv[1]).read_text()).items():
        _prefix, platform, *_ = topic.split("/")
        entities = {topic: (platform, payload)}
        if platform == "device":
            discovery.DEVICE_DISCOVERY_SCHEMA(json.loads(json.dumps(payload)))
            shared = {key: payload[key] for key in SHARED if key in payload}
            about = {"device": payload["device"], "origin": payload["origin"]}
            entities = {
                key: (config["platform"], {**about, **shared, **config})
                for key, config in payload["components"].items()
            }
        for name, (kind, config) in entities.items():
            config.pop("platform", None)
            for problem in problems(kind, config):
                print(f"{name}: {problem}")


asyncio.run(main())
