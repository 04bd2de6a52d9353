"""`affectd devices`: the microphones, by the names that audio.device takes."""

import argparse

import msgspec

from affectd.daemon.capture.portaudio import bounded, choose, devices


def run(args: argparse.Namespace) -> int:
    """Print a line for each input device. Raises DeviceError if there is none."""
    found = bounded(devices, "looking for microphones")
    default = choose(found, None)
    for device in found:
        if args.json:
            print(msgspec.json.encode(device).decode())
        else:
            mark = "*" if device is default else " "
            print(f"{mark} {device.label}  ({device.channels} channel(s), {device.rate_hz} Hz)")
    if not args.json:
        print("* is heard if audio.device is not set; set it to a part of a name to hear another.")
    return 0
