"""The lightmap page: a bundle in, the day out, hour by hour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from src.demo.lightmap_work import one_of, picture
from src.demo.speaking import Speaking, shown, told
from src.demo.words import say
from src.export.bundle import read_bundle
from src.models.lightmap_decoder import LightmapDecoder

_NOON = 12.0


def lightmap_tab(speaking: Speaking, language: Any, bundle: Path | None) -> None:
    """Put the tab's components and what they do on the page that is being built; ``bundle`` is open from the start."""
    started = None if bundle is None else read_bundle(bundle)
    day = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            file = speaking.make(gr.File, label="say:bundle", file_types=[".tod"], elem_id="bundle")
            which = speaking.make(gr.Dropdown, label="say:lightmap", visible=False, elem_id="which")
            hour = speaking.make(
                gr.Slider, label="say:hour", minimum=0, maximum=24, step=0.1, value=_NOON, elem_id="hour"
            )
            about = gr.Markdown("" if started is None else _describe(started, "English"))
        with gr.Column(min_width=280):
            first = None if started is None else picture(one_of(started), _NOON)
            frame = speaking.make(shown, label="say:frame", value=first, elem_id="frame")

    def open_bundle(path: str | None, at: float, lang: str) -> tuple[Any, ...]:
        if path is None:
            return None, gr.update(visible=False), "", None
        opened = told(lambda: read_bundle(Path(path)), "bad_bundle", lang)
        names = list(opened.lightmap_names)
        choices = gr.update(choices=names, value=names[0] if names else None, visible=bool(names))
        return opened, choices, _describe(opened, lang), picture(one_of(opened), at)

    def show(opened: LightmapDecoder | None, name: str | None, at: float) -> np.ndarray | None:
        opened = opened or started
        return None if opened is None else picture(one_of(opened, name), at)

    quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    file.change(open_bundle, [file, hour, language], [day, which, about, frame])
    for knob in (hour, which):
        knob.input(show, [day, which, hour], frame, **quick)


def _describe(decoder: LightmapDecoder, language: str) -> str:
    kilobytes = decoder.resident_bytes / 1000
    return say("size", language).format(width=decoder.width, height=decoder.height, kilobytes=kilobytes)
