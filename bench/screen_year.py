"""A year on the screen: a point of 31.5 million samples at 1 Hz is opened and zoomed in a real browser over ``madang serve``.

    ./run bench screen_year [--days 365] [--zooms 30]

Opening is counted from the navigation to the drawn lane; a zoom from the moment it is asked for to the drawn lane, over spans from half
the year to an hour at seeded places. Goals: 1.5 s and 300 ms (95th percentile). Needs Chromium (or its path in MADANG_CHROMIUM).
Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench._lake_made import DATASET, YEAR_BEGIN, make_year
from bench._served import Served, path, quantile

OPEN_GOAL, ZOOM_GOAL = 1.5, 0.3
_SHARES = (0.5, 0.2, 0.05, 0.01, 1 / 8760)
_SETTLED = "() => document.querySelector('.trend-lane canvas') && !document.getElementById('lanes').hasAttribute('aria-busy')"
_ZOOM = """async ([from, to]) => {
  const lanes = document.getElementById("lanes");
  const begun = performance.now();
  window.dispatchEvent(new PopStateEvent("popstate", { state: { from, to, live: false, span: to - from } }));
  while (!lanes.hasAttribute("aria-busy")) await new Promise(requestAnimationFrame);
  await new Promise((done) => {
    const seen = new MutationObserver(() => { if (!lanes.hasAttribute("aria-busy")) { seen.disconnect(); requestAnimationFrame(done); } });
    seen.observe(lanes, { attributes: true });
    if (!lanes.hasAttribute("aria-busy")) { seen.disconnect(); done(); }
  });
  return [(performance.now() - begun) / 1e3, document.getElementById("trend-note").hidden];
}"""


_PARTS = """() => [performance.getEntriesByType("navigation")[0].responseEnd / 1e3,
  performance.getEntriesByType("resource").find((one) => one.name.includes("/trend?")).duration / 1e3]"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench screen_year")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--zooms", type=int, default=30)
    given = parser.parse_args(arguments)
    chromium = os.environ.get("MADANG_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print(json.dumps({"bench": "screen_year", "skipped": "no Chromium: install it, or name it in MADANG_CHROMIUM"}))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="bench-screen-year-"))
    try:
        result = measure(folder, chromium, given.days, given.zooms)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))
    return 0 if result["open_p50_seconds"] < OPEN_GOAL and result["zoom_p95_seconds"] < ZOOM_GOAL else 1


def measure(folder: Path, chromium: str, days: int, zooms: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    samples = make_year(folder / "workspace", days)
    begin = datetime.fromtimestamp(YEAR_BEGIN / 1e6, UTC)
    length = days * 86_400
    chance = random.Random(365)
    opened, zoomed, parts = [], [], []
    with Served(folder) as server, sync_playwright() as playwright:
        point = server.client().document("GET", path("signals", DATASET, "points"))["points"][0]["point"]
        query = {
            "dataset": DATASET,
            "point": point,
            "from": begin.isoformat(),
            "to": (begin + timedelta(seconds=length)).isoformat(),
            "lang": "en",
        }
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        for _ in range(5):
            page.goto("about:blank")
            page.goto(f"{server.url}/trends?{urlencode(query)}", wait_until="commit")
            page.wait_for_function(_SETTLED)
            opened.append(page.evaluate("performance.now() / 1e3"))
            parts.append(page.evaluate(_PARTS))
        drawn = page.evaluate("document.getElementById('trend-note').hidden")
        if not drawn:
            raise RuntimeError("nothing was drawn")
        for i in range(zooms):
            span = length * _SHARES[i % len(_SHARES)]
            first = begin.timestamp() + chance.random() * (length - span)
            seconds, drawn = page.evaluate(_ZOOM, [first, first + span])
            if not drawn:
                raise RuntimeError("a zoom showed nothing")
            zoomed.append(seconds)
        browser.close()
        memory = server.memory()
    return {
        "bench": "screen_year",
        "samples": samples,
        "open_first_seconds": round(opened[0], 3),
        "open_p50_seconds": round(statistics.median(opened), 3),
        "open_page_p50_seconds": round(statistics.median(page for page, _ in parts), 3),
        "open_trend_p50_seconds": round(statistics.median(trend for _, trend in parts), 3),
        "zoom_p50_seconds": round(quantile(zoomed, 0.5), 3),
        "zoom_p95_seconds": round(quantile(zoomed, 0.95), 3),
        "zoom_max_seconds": round(max(zoomed), 3),
        "zooms": len(zoomed),
        "server_mb": round(memory),
    }


if __name__ == "__main__":
    import sys

    raise SystemExit(main(sys.argv[1:]))
