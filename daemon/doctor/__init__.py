"""`affectd doctor`: what is well, what is not, and what to do about it; one module a subject."""

from typing import Final

# Each check by name, which is its module's, in this order; and the seconds after which it is given
# up, the time that it listens apart.
CHECKS: Final = {
    "configuration": 10.0,
    "versions": 20.0,
    "clock": 10.0,
    "sound": 10.0,
    "microphone": 60.0,
    "bundle": 60.0,
    "broker": 60.0,
    "home-assistant": 60.0,
    "journal": 60.0,
    "log": 10.0,
    "unit": 40.0,
}
