"""A page to try it on: drop a photo and turn the light around it; open a lightmap bundle and move through its day.

    pip install -r requirements-demo.txt
    python demo.py
    python demo.py --bundle runs/tod/day.tod --relit_checkpoint runs/relit/checkpoint_best.pth

Then open http://127.0.0.1:7860. Everything stays on this machine: the page loads nothing from elsewhere and sends
nothing away. --host 0.0.0.0 lets others in the network in. English and Chinese, as the browser asks for or as chosen.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.utils.cli import InputError, Parser, positive_int, script


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, help="of train_delit.py (default: weights/delit.pth of the repository)")
    add("--relit_checkpoint", type=Path, help="of train_relit.py (default: weights/relit.pth; without that file "
        "portraits are delighted only)")  # fmt: skip
    add("--bundle", type=Path, help="lightmap bundle that is open from the start")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=positive_int, default=7860)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_arguments(argv)
    page = build(args.checkpoint, args.relit_checkpoint, args.bundle, args.device)
    serve(page, listening(args.host, args.port))
    return 0


def build(checkpoint: Path | None, relit_checkpoint: Path | None, bundle: Path | None, device_name: str) -> Any:
    """The page, ready to be launched."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio as gr
    except ImportError:
        raise InputError("gradio", "is not installed", "pip install -r requirements-demo.txt") from None

    from src.demo.lightmap_tab import lightmap_tab
    from src.demo.portrait_tab import portrait_tab
    from src.demo.portrait_work import PortraitWork
    from src.demo.speaking import Speaking
    from src.inference.delit.delighter import Delighter
    from src.inference.relit.relighter import Relighter
    from src.models import delit_model, relit_model
    from src.models.shipped import SHIPPED, shipped_checkpoint
    from src.training.distributed import resolve_device

    device = resolve_device(device_name)
    delighter = Delighter(delit_model.load(checkpoint or shipped_checkpoint(), device), keep_exposure=True)
    if relit_checkpoint is None and SHIPPED["relit"].is_file():
        relit_checkpoint = SHIPPED["relit"]
    relighter = Relighter(relit_model.load(relit_checkpoint, device)) if relit_checkpoint else None

    speaking = Speaking()
    with gr.Blocks(title="Portraits and lightmaps") as page:
        speaking.make(gr.Markdown, value="say:title")
        language = speaking.choice()
        with gr.Tabs():
            with speaking.make(gr.Tab, label="say:portrait_tab", id="portrait"):
                portrait_tab(PortraitWork(delighter, relighter), speaking, language)
            with speaking.make(gr.Tab, label="say:lightmap_tab", id="lightmap"):
                lightmap_tab(speaking, language, bundle)
        speaking.follow(language, page)
    return page


def listening(host: str, port: int) -> socket.socket:
    """Raises InputError where the address is taken or is none of this machine's. Who connects already now waits."""
    found = socket.socket()
    if os.name == "posix":  # on Windows the option would share a port that another program has
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen()
    except (OSError, OverflowError) as error:  # the latter for a number that no port has
        reason = getattr(error, "strerror", None) or error
        raise InputError("--host, --port", f"{host}:{port} cannot be used ({reason})", "choose another") from None
    return found


def serve(page: Any, where: socket.socket) -> None:
    """Serve the page until Ctrl-C. Its fonts are the system's: nothing comes from elsewhere."""
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    app = gr.mount_gradio_app(FastAPI(), page, "/", theme=theme, footer_links=[], show_error=False)
    host, port = where.getsockname()
    print(f"open http://{host}:{port} (Ctrl-C ends it)", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[where])


if __name__ == "__main__":
    sys.exit(main())
