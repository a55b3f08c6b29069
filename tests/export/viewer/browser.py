"""Chromium without a window, for tests of the viewer's page. SwiftShader is its graphics card, on any machine."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-webgpu", "--enable-unsafe-swiftshader"]
FLAGS += ["--use-angle=swiftshader", "--use-vulkan=swiftshader", "--enable-features=Vulkan"]
WAIT_MS = 60_000


class Viewer:
    """A page of the viewer, and all that it says and asks for."""

    def __init__(self, page) -> None:  # a playwright page
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def open(self, file: Path, hash_: str = "") -> Viewer:
        self.page.goto(f"{file.as_uri()}#{hash_}")
        self.page.wait_for_selector("html[data-opened]", timeout=WAIT_MS)
        return self

    def js(self, expression: str, argument: object = None):
        return self.page.evaluate(expression, argument)

    def state(self, name: str) -> str:
        return self.js(f"document.documentElement.dataset.{name}")

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def drop(self, content: bytes, name: str) -> None:
        """Drops a file onto the page as a reader would."""
        self.js(
            """([content, name]) => {
              const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([bytes], name));
              document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
            }""",
            [base64.b64encode(content).decode(), name],
        )

    def decoded(self, hour: float) -> np.ndarray:
        """What the engine decodes of the open lightmap at an hour: every third row, every second column, x 3."""
        height, width, text = self.js(
            """async (hour) => {
              const { engine } = app, { width, height } = engine.part, texels = [];
              for (let y = 0; y < height; y += 3) for (let x = 0; x < width; x += 2) texels.push([x, y]);
              engine.decode(hour);
              const colours = await engine.read(texels);
              let text = "";
              for (const byte of new Uint8Array(colours.buffer, colours.byteOffset, colours.byteLength))
                text += String.fromCharCode(byte);
              return [Math.ceil(height / 3), Math.ceil(width / 2), btoa(text)];
            }""",
            hour,
        )
        return np.frombuffer(base64.b64decode(text), np.float32).reshape(height, width, 3)

    def shown(self, x: int, y: int, panel: int = 0) -> np.ndarray:
        """The colour that the window shows in the middle of a texel, 3 uint8."""
        left, top = self.js(
            """([x, y, panel]) => {
              const { view } = app, box = byId("stage").getBoundingClientRect(), { left, top } = view.panels[panel];
              const place = (pan, texel) => pan + view.zoom * (texel + 0.5);
              return [box.left + left + place(view.panX, x), box.top + top + place(view.panY, y)];
            }""",
            [x, y, panel],
        )
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return np.asarray(picture)[int(top), int(left)]


@contextmanager
def chromium() -> Iterator:
    """A browser; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="there is no playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with sync_api.sync_playwright() as playwright:
        # Not closed: that waits for as long as a browser takes to end, Playwright's own end for half a minute at most.
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
