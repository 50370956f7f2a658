"""A collector as a process of its own: broker -> spool -> lake. Killed at random by the trials.

    python -m tests.connect.mqtt.collector FOLDER URL [OPTION=VALUE ...]

Ends at SIGTERM with everything committed; appends a line of JSON to ``status.jsonl`` each second.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from madang.connect import Collector, ConnectionSettings, Spool, SpoolLimits
from madang.connect.mqtt import make
from madang.library import Library

NAME = "line"


def now() -> datetime:
    return datetime.now(UTC)


def resident() -> int:
    """Memory in use [MB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def main(arguments: list[str]) -> int:
    folder, url, *pairs = arguments
    root = Path(folder)
    options = dict(pair.split("=", 1) for pair in pairs)
    kind = options.pop("kind", "mqtt")
    limits = SpoolLimits(bytes=1 << 30, floor=int(options.pop("floor", "0")))
    if kind == "sparkplug":
        from madang.connect.sparkplug import make as make_source
    else:
        make_source = make
    topics = tuple(options.pop("topics", "p/#").split(","))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = ConnectionSettings(NAME, kind, url, options=options, tags=topics)
    source = make_source(settings)
    with (
        Library.open(root / "workspace", clock=now, zone="Asia/Seoul") as library,
        Spool.open(root / "workspace" / "spool" / NAME, clock=now, limits=limits) as spool,
    ):
        collector = Collector(source, spool, spool.ledger, now, options=options, tags=topics)
        intake = library.live(threads=1)
        intake.attach(NAME, spool, source.decoder(), dataset="plant")
        thread = threading.Thread(target=collector.run, args=(stop,))
        thread.start()
        samples = rejects = 0
        told = 0.0
        with (root / "status.jsonl").open("a") as status:
            while True:
                ended = not thread.is_alive()
                report = intake.step(now(), force=ended)
                mine = report.connections.get(NAME)
                samples += mine.samples if mine else 0
                rejects += mine.rejects if mine else 0
                if ended or time.monotonic() - told > 1:
                    told = time.monotonic()
                    how = collector.status()
                    line = {
                        "at": time.time(),
                        "pid": os.getpid(),
                        "state": how.state,
                        "received": how.received,
                        "durable": how.durable,
                        "duplicates": how.duplicates_dropped,
                        "samples": samples,
                        "rejects": rejects,
                        "rss_mb": resident(),
                        "cpu": resource.getrusage(resource.RUSAGE_SELF).ru_utime,
                        "depth": how.depth.frames,
                        "ended": ended,
                    }
                    status.write(json.dumps(line) + "\n")
                    status.flush()
                if ended:
                    break
                time.sleep(0.1)
        intake.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
