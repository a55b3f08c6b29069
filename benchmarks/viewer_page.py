"""How soon a page of the viewer shows a picture in Chromium, and what becomes of every move of its slider.

A browser is started anew for each opening. Then the mouse draws the slider over the day: ``move`` counts what reached
the page, ``input`` the changes of the slider's value that the browser told of, ``heard`` those whose hour the page
took. Of the inputs ``shown`` were decoded and drawn, ``overtaken`` replaced by a later one before the next picture, and
``lost`` are neither.

python -m benchmarks.viewer_page --page FILE.html
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.utils import cli

MOVES = 120
WAIT_MS = 60_000
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
# Notes [what, hour] of whatever happens to the slider from then on, in its order.
NOTE = """() => {
  window.notes = [];
  const slider = document.getElementById("hour"), { timeline, engine } = app;
  const set = timeline.set.bind(timeline), decode = engine.decode.bind(engine);
  slider.addEventListener("pointermove", () => notes.push(["move", 0]));
  slider.addEventListener("input", () => notes.push(["input", Number(slider.value)]), true);
  timeline.set = (hour) => { notes.push(["heard", hour]); set(hour); };
  engine.decode = (hour) => { notes.push(["shown", hour]); return decode(hour); };
}"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--page", type=Path, required=True, metavar="FILE.html", help="what export_latent.py --viewer wrote"
    )
    parser.add_argument("--openings", type=int, default=9, metavar="N", help="how often it is opened")
    return parser.parse_args(argv)


def count_events(notes: Sequence[tuple[str, float]]) -> dict[str, int]:
    """How many of each kind there are, and what became of the inputs. One is shown when its hour is the next that is
    decoded, overtaken when another input comes before that, and lost when neither follows."""
    counts = {kind: sum(what == kind for what, _ in notes) for kind in ("move", "input", "heard")}
    became = {"shown": 0, "overtaken": 0, "lost": 0}
    for k, (what, hour) in enumerate(notes):
        if what == "input":
            then = next((other for other in notes[k + 1 :] if other[0] in ("input", "shown")), ("lost", 0.0))
            same = then[0] == "shown" and abs(then[1] - hour % 24) < 1e-9
            became["shown" if same else "overtaken" if then[0] == "input" else "lost"] += 1
    return counts | became


def draw_slider(page: Any) -> dict[str, int]:
    """Draws the slider of a playwright page over the day, as fast as the page takes the moves."""
    page.evaluate(NOTE)
    box = page.locator("#hour").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, middle)
    page.mouse.down()
    for k in range(1, MOVES + 1):
        page.mouse.move(box["x"] + 8 + (box["width"] - 16) * k / MOVES, middle)
    page.mouse.up()
    page.evaluate("new Promise((done) => setTimeout(done, 1000))")
    return count_events([(what, hour) for what, hour in page.evaluate("notes")])


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if not arguments.page.is_file():
        raise cli.InputError(arguments.page, "there is no such file", "export one with export_latent.py --viewer")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise cli.InputError("playwright", "is not installed", "pip install playwright") from error
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise cli.InputError("chromium", "is not installed", "install chromium or google-chrome")

    first, opened, events = [], [], {}
    with sync_playwright() as driver:
        for k in range(arguments.openings):
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1100, "height": 760})
            page.goto(arguments.page.resolve().as_uri())
            page.wait_for_selector("html[data-opened]", timeout=WAIT_MS)
            first.append(float(page.evaluate("document.documentElement.dataset.firstPicture")))
            opened.append(float(page.evaluate("document.documentElement.dataset.opened")))
            if k == arguments.openings - 1:
                events = draw_slider(page)
            browser.close()
    print(f"load\t{os.getloadavg()[0]:.1f}")
    for name, times in (("first picture", first), ("opened", opened)):
        print(f"{name}\t{min(times):.0f} to {max(times):.0f} ms\tmedian {statistics.median(times):.0f} ms")
    for name, count in events.items():
        print(f"{name}\t{count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
