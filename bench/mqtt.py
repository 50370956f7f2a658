"""MQTT into the committed lake: one value per QoS-1 message beside a bare consumer, ten values per message live, and a crash trial.

    ./run bench mqtt                     all three, shortened
    ./run bench mqtt rate --messages 100000 --rounds 3
    ./run bench mqtt values --seconds 600 --rate 5000
    ./run bench mqtt crash --messages 200000 --kills 20 --restarts 3

*rate*: a mosquitto of its own holds the same messages for two sessions. The bare consumer is a paho client that acknowledges each
message in its callback and does nothing else; beside it the collector, until all is durable and acknowledged, and until all is
committed to the lake. Same broker, same run, one after the other, by turns.
*values*: ten values in each message at a steady rate; lost, doubled, memory and delay are told.
*crash*: the collector is killed (SIGKILL) at random moments, the broker is restarted, the disk runs full once. Every message that
the broker took over has to be in the lake once.

Prints one JSON line each. Needs mosquitto.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench mqtt")
    parser.add_argument("part", nargs="?", choices=("rate", "values", "crash"), default=None)
    parser.add_argument("--messages", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=5_000, help="values a second")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    from tests.connect.mqtt import trials

    if shutil.which("mosquitto") is None:
        print("mosquitto is not installed")
        return 6
    good = True
    for part in ("rate", "values", "crash") if given.part is None else (given.part,):
        folder = Path(tempfile.mkdtemp(prefix="bench-mqtt-"))
        try:
            if part == "rate":
                result = trials.rate(folder, given.messages or 40_000, given.rounds)
            elif part == "values":
                result = trials.values(folder, given.seconds, given.rate)
                good = good and result["lost"] == 0 and result["doubled"] == 0
            else:
                result = trials.crash(folder, given.messages or 40_000, given.kills, given.restarts, given.seed)
                good = good and result["lost"] == 0 and result["doubled"] == 0
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps({"bench": f"mqtt {part}", **result}))
    return 0 if good else 1
