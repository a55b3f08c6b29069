"""The coders that lightmaps are usually kept with, to be measured on the same frames: name -> :class:`Peer`.

Every peer really encodes to bytes and decodes from them. A peer whose library is absent says so and is left out.
"""

from __future__ import annotations

from src.evaluation.lightmap.peers import block_codecs, image_codecs, plane_blocks, planes, temporal_pca, video_codec
from src.evaluation.lightmap.peers.coding import Peer

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        temporal_pca.PCA,
        temporal_pca.PCA_X265,
        plane_blocks.PCA_BC4,
        plane_blocks.PCA_ASTC,
        planes.PLANES,
        image_codecs.AVIF,
        image_codecs.JXL,
        video_codec.X265,
        block_codecs.BC7,
        block_codecs.ASTC,
    )
}

__all__ = ["PEERS", "Peer"]
