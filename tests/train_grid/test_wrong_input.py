"""Wrong flags and sets: one line."""

import json

import pytest

import train as script
from tests.data.lightmap.test_hprc import write_config
from tests.radiance_days import GRID, SIREN, arguments, train
from tests.tiny_runs import one_error_line


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"f1": "grid", "latent_dim": 8}, "--latent_dim: does not apply to --f1 grid"),
        ({"f1": "siren", "bpp": 2}, "--bpp: does not apply to --f1 siren"),
        ({"target_psnr": 40}, "--target_psnr: does not apply to --f1 siren"),
        ({"f1": "grid", "target_psnr": 40, "target_bytes": 9}, "not allowed with argument --target_psnr"),
        ({"f1": "grid", "target_bytes": -4}, "--target_bytes: -4 is not"),
        ({"f1": "grid", "events": "6,late"}, "--events"),
        ({"f1": "grid", "latent_bits": 5}, "--latent_bits"),
        ({"f1": "grid", "bpp": 0.001}, "--bpp: 0.001 is less than one channel takes: give "),
        ({"f1": "tree"}, "--f1"),
        ({"f1": "grid", "lightmap": "Hall:0"}, "--lightmap"),
    ],
)
def test_wrong_flags_are_one_line(hdr, tmp_path, capsys, flags, words):
    assert script.main(arguments(hdr, tmp_path / "run", epochs=1, device="cpu", **flags)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert one_error_line("\n".join(line for line in lines if not line.startswith("warning")))
    assert words in lines[-1]


def test_wrong_sets_are_one_line(hprc, tmp_path, capsys):
    assert script.main(arguments(hprc, tmp_path / "run", **GRID, lightmap="Hall:9")) == 2
    assert "--lightmap: no lightmap 'Hall:9'" in one_error_line(capsys.readouterr().err)
    config = json.loads((hprc / "config.json").read_text())
    other = tmp_path / "other"
    (other / "Data").mkdir(parents=True)
    for file in (hprc / "Data").iterdir():
        (other / "Data" / file.name).write_bytes(file.read_bytes())
    for kind in ("lightmaps", "masks"):
        config["lightmap_list"][1][kind]["1300"] = config["lightmap_list"][1][kind].pop("1200")
    write_config(other, config)
    assert script.main(arguments(other, tmp_path / "run", **GRID, share_f2=True)) == 2
    assert "--share_f2: Hall:7 and Hall:0 differ in their hours" in one_error_line(capsys.readouterr().err)
    config["lightmap_list"][0]["lightmaps"]["0"] = "../../secret"
    write_config(other, config)
    assert script.main(arguments(other, tmp_path / "run", **GRID)) == 2
    assert "leaves the folder" in one_error_line(capsys.readouterr().err)


def test_a_grid_does_not_continue_a_siren(hdr, tmp_path, capsys):
    train(hdr, tmp_path / "run", **SIREN)
    capsys.readouterr()
    assert script.main(arguments(hdr, tmp_path / "run", **GRID)) == 2
    assert "a checkpoint of kind 'lightmap', expected 'lightmap-grid'" in capsys.readouterr().err
