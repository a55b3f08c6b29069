"""The names of the peers, for ``--peers``. Imports nothing that ``--help`` would wait for."""

from __future__ import annotations

import argparse

PEER_NAMES = ("pca", "pca_x265", "pca_bc4", "pca_astc", "planes", "siren", "avif", "jxl", "x265", "bc7", "astc")


def peer_list(text: str) -> list[str]:
    """``'pca,avif'`` or ``'all'`` -> names of peers in the order given."""
    names = list(PEER_NAMES) if text == "all" else text.split(",")
    for name in names:
        if name not in PEER_NAMES:
            raise argparse.ArgumentTypeError(f"unknown peer {name!r}, known are {', '.join(PEER_NAMES)} and all")
    return list(dict.fromkeys(names))
