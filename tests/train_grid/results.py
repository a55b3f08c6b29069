"""What a run leaves, and how good it is."""

from src.utils.tile_metrics import tile_metrics

EXPORTS = {"latent_map.npy", "f2_state_dict.pt", "f2_ts.pt", "f2.pt2", "f2_config.json"}
CHECKPOINTS = {"best.ckpt", "last.ckpt", "config.json", "logs", "comparison.png"}


def valid_psnr(folder, decoder):
    from src.data.lightmap.sources import open_lightmaps

    frames, hours, mask = open_lightmaps(folder)[0].load()
    return tile_metrics(frames, decoder.render(hours.tolist()), mask).psnr_db
