"""OPC UA into the committed lake, from servers made of node-opcua: a steady flow, and a server that is killed.

    ./run bench opcua                      both, shortened
    ./run bench opcua flow --seconds 600 --tags 1000 --hz 5 --servers 1
    ./run bench opcua crash --kills 10

*flow*: encrypted (the strongest policy that both sides speak), one value in ten uncertain. Every change that the server wrote down before it
made it is looked for in the lake, with its time and its status to the bit. Told are also the share of one core that connection, spool
and lake take together, and the memory in both halves of the time.
*crash*: the server is killed (SIGKILL) and started again; every change is in the lake or inside a recorded gap.

Prints one JSON line each. Needs node and the npm peers (`tests/peers/README.md`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench opcua")
    parser.add_argument("part", nargs="?", choices=("flow", "crash"), default=None)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--tags", type=int, default=1000, help="tags of each server")
    parser.add_argument("--hz", type=float, default=5)
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--kills", type=int, default=3)
    given = parser.parse_args(arguments)
    from tests.connect.opcua import trials
    from tests.peers import peers_folder

    if shutil.which("node") is None or peers_folder() is None:
        print("node or the npm peers are missing: see tests/peers/README.md")
        return 6
    good = True
    for part in ("flow", "crash") if given.part is None else (given.part,):
        folder = Path(tempfile.mkdtemp(prefix="bench-opcua-"))
        try:
            if part == "flow":
                result = trials.flow(folder, seconds=given.seconds, tags=given.tags, hz=given.hz, servers=given.servers)
                good = good and not (result["lost"] or result["doubled"] or result["status_or_time_wrong"])
            else:
                result = trials.crash(folder, kills=given.kills)
                good = good and not (result["missing_outside_gaps"] or result["doubled"] or result["status_or_time_wrong"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps({"bench": f"opcua {part}", **result}))
    return 0 if good else 1
