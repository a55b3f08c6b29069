"""Tiny days of radiance with a mask, one of a lamp and a set of two, and ``train.py`` on them."""

import numpy as np

import train as script
from tests import tiny_runs
from tests.data.lightmap.test_hprc import write_config
from tests.tiny_runs import smooth_frame

HOURS = (0.0, 5.9, 6.0, 12.0, 18.0)
SIZES = {0: (14, 12), 7: (9, 16)}  # of the lightmaps of the set, height and width
GRID = {"f1": "grid", "device": "cpu", "epochs": 3, "save_every": 2, "bpp": 150}  # F2 alone is 40 on tiny maps
SIREN = {"device": "cpu", "epochs": 2, "save_every": 1, "batch_size": 200, **tiny_runs.SIZES}


def radiance(hour, height, width):
    """A smooth day that is dark at night, with a lamp that goes off at 6."""
    frame = smooth_frame(hour, height, width) * (0.02 + max(0.0, np.sin(np.pi * (hour - 5) / 14)))
    frame[2:5, 3:7] += 0.3 * (hour < 6)
    return frame.astype(np.float32)


def write_hprc(folder):
    """A set of two lightmaps of different shape; the first row of the first one is invalid and absurdly bright."""
    (folder / "Data").mkdir(parents=True)
    entries = []
    for lightmap_id, (height, width) in SIZES.items():
        entry = {"id": lightmap_id, "level": "Hall", "lightmaps": {}, "masks": {}}
        entry["resolution"] = {"width": width, "height": height}
        mask = np.full((height, width), 127, np.int8)
        mask[0] = -1 if lightmap_id == 0 else 127
        for hour in HOURS:
            code = str(round(hour * 100))
            frame = radiance(hour, height, width)
            frame[mask < 0] = 1e6
            frame.astype("<f4").tofile(folder / "Data" / f"frame_{lightmap_id}_{code}")
            mask.tofile(folder / "Data" / f"mask_{lightmap_id}_{code}")
            entry["lightmaps"][code] = f"frame_{lightmap_id}_{code}"
            entry["masks"][code] = f"mask_{lightmap_id}_{code}"
        entries.append(entry)
    write_config(folder, {"lightmap_count": len(entries), "lightmap_list": entries})
    return folder


def arguments(data_dir, run, **flags):
    argv = ["--data_dir", str(data_dir), "--out_dir", str(run)]
    for name, value in flags.items():
        argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return argv


def train(data_dir, run, **flags):
    assert script.main(arguments(data_dir, run, **flags)) == 0
    return run
