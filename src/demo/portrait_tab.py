"""The portrait page: a photo in, flat-lit and its light out, and the portrait under any other light."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
import numpy as np

from src.demo.portrait_work import (
    OF_PHOTO,
    OWN,
    SHOWN_SIDE,
    SKIES,
    Light,
    Portrait,
    PortraitWork,
    as_codes,
    confidence_codes,
    map_codes,
    read_light,
    reduced,
    sky,
)
from src.demo.speaking import Speaking, refusal, shown, told
from src.demo.words import say
from src.utils.color import linear_to_srgb

_LIGHTS = [OF_PHOTO, *SKIES, OWN]
_KEEP, _LIGHT = "keep", "behind_light"


def portrait_tab(work: PortraitWork, speaking: Speaking, language: Any) -> None:
    """Put the tab's components and what they do on the page that is being built."""
    skies = {kind: sky(kind) for kind in SKIES}
    portrait, own_light = gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            photo = speaking.make(
                gr.Image,
                label="say:photo",
                type="filepath",
                sources=["upload"],
                elem_id="photo",
                height=340,
                buttons=[],
            )
            chosen = speaking.make(shown, label="say:chosen", elem_id="chosen")
            hdr = speaking.make(gr.UploadButton, label="say:upload", file_types=[".hdr", ".exr"], elem_id="hdr")
        with gr.Column(min_width=280):  # on a phone the sliders lie right below what they change
            relit = speaking.make(shown, label="say:relit", elem_id="relit", height=420)
            turn = speaking.make(
                gr.Slider, label="say:turn", minimum=-180, maximum=180, step=1, value=0, elem_id="turn"
            )
            light = speaking.make(gr.Dropdown, label="say:light", choices=_LIGHTS, value="sun", elem_id="light")
            stops = speaking.make(gr.Slider, label="say:stops", minimum=-3, maximum=3, step=0.25, value=0)
            behind = speaking.make(gr.Radio, label="say:behind", choices=[_KEEP, _LIGHT], value=_KEEP)
    with gr.Row():
        flat_lit, found, sure, sure_of_light = (
            speaking.make(shown, label=f"say:{name}", elem_id=name)
            for name in ("flat_lit", "environment", "confidence", "env_confidence")
        )
    pack = speaking.make(gr.Button, value="say:pack", elem_id="pack")
    files = speaking.make(gr.File, label="say:files", elem_id="files", interactive=False, visible=False)

    def light_of(now: Portrait | None, own: np.ndarray | None, choice: str, lang: str) -> np.ndarray:
        if choice == OWN:
            if own is None:
                raise refusal("no_hdr", lang)
            return own
        if choice == OF_PHOTO:
            if now is None:
                raise refusal("no_photo", lang)
            return now.environment
        return skies[choice]

    def lit(now: Portrait | None, own: np.ndarray | None, *controls: Any) -> tuple[Any, Any]:
        """The relit picture and the light, as both are shown."""
        choice, degrees, brightness, seen, lang = controls
        if now is None:
            return None, None
        chosen_light = Light(light_of(now, own, choice, lang), degrees, brightness, seen == _LIGHT)
        environment = map_codes(chosen_light.turned())
        if now.shown is None:
            return None, environment
        return as_codes(linear_to_srgb(work.relight(now, chosen_light))), environment

    def open_photo(upload: dict[str, Any] | None, own: np.ndarray | None, *controls: Any) -> tuple[Any, ...]:
        if upload is None:
            return (*(None,) * 7, gr.update(visible=False))
        lang = controls[-1]
        now = told(lambda: work.open(Path(upload["path"])), "bad_photo", lang)
        if now.shown is None:
            gr.Warning(say("no_relighting", lang))
        certain = now.result.prediction.confidence
        return (
            now,
            as_codes(linear_to_srgb(reduced(now.result.flat_lit, SHOWN_SIDE))),
            map_codes(now.environment),
            confidence_codes(now),
            None if certain is None else as_codes(np.kron(certain, np.ones((8, 8), np.float32))),
            *lit(now, own, *controls),
            gr.update(visible=False),
        )

    def open_light(path: str, lang: str) -> tuple[np.ndarray, str]:
        return told(lambda: read_light(Path(path)), "bad_hdr", lang), OWN

    def write_files(now: Portrait | None, own: np.ndarray | None, *controls: Any) -> Any:
        choice, degrees, brightness, seen, lang = controls
        if now is None:
            raise refusal("no_photo", lang)
        path = Path(mkdtemp()) / "portrait.zip"
        work.pack(now, Light(light_of(now, own, choice, lang), degrees, brightness, seen == _LIGHT), path)
        return gr.update(value=str(path), visible=True)

    knobs = [own_light, light, turn, stops, behind, language]
    quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    photo.change(
        open_photo,
        [photo, *knobs],
        [portrait, flat_lit, found, sure, sure_of_light, relit, chosen, files],
        concurrency_id="network",
        preprocess=False,  # gradio would open the photo itself, and fail without a word where it cannot
    )
    relight: dict[str, Any] = {"fn": lit, "inputs": [portrait, *knobs], "outputs": [relit, chosen], **quick}
    for knob in (turn, stops, behind, light):
        knob.input(**relight)
    hdr.upload(open_light, [hdr, language], [own_light, light]).success(**relight)
    pack.click(write_files, [portrait, *knobs], files, concurrency_id="network")
