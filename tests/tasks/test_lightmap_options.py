import subprocess
import sys
from dataclasses import asdict

import pytest

import train
from src.tasks.lightmap_options import GridOptions, LightmapOptions, SirenOptions, Target


def options_of(*flags: str) -> LightmapOptions:
    return LightmapOptions.from_arguments(train.parse_arguments(["--data_dir", "day", *flags]))


def test_without_flags_they_are_the_defaults() -> None:
    siren, grid = options_of(), options_of("--f1", "grid")
    assert siren.f1 == SirenOptions() and grid.f1 == GridOptions()
    assert (siren.out_dir.as_posix(), siren.target, siren.share_f2) == ("runs/day", None, False)


def test_every_flag_arrives_under_its_name() -> None:
    chosen = {"epochs": 3, "save_every": 2, "seed": 7, "batch_size": 50, "lr": 0.5, "samples_per_epoch": 11}
    chosen |= {"accumulate_steps": 4, "latent_dim": 5, "hidden_f1": 6, "layers_f1": 1, "hidden_f2": 8, "layers_f2": 9}
    chosen |= {"time_harmonics": 10, "schedule": "constant", "amp": "bf16"}
    flags = [text for name, value in chosen.items() for text in (f"--{name}", str(value))]
    given = asdict(options_of(*flags, "--compile", "--time_budget", "2").f1)
    assert given == {**chosen, "compile": True, "time_budget_s": 120.0}


def test_of_a_grid_events_are_hours_of_a_day_and_a_target_widens_the_memory() -> None:
    given = options_of("--f1", "grid", "--events", "24,6", "--target_bytes", "900", "--share_f2", "--compute_latent")
    assert given.f1.events == (0.0, 6.0) and given.f1.bpp == 4.0
    assert given.target == Target(None, 900) and given.share_f2 and given.compute_latent
    assert options_of("--f1", "grid", "--target_psnr", "40", "--bpp", "3").f1.bpp == 3.0


@pytest.mark.parametrize(("flags", "minutes"), [([], 3.0), (["--epochs", "200"], None), (["--time_budget", "1"], 1.0)])
def test_on_the_samples_epochs_count_though_they_are_the_default(flags: list[str], minutes: float | None) -> None:
    assert train.parse_arguments(flags).time_budget == minutes


@pytest.mark.parametrize("flag", [["--lr", "1e-3"], ["--latent_dim", "32"], ["--amp", "off"]])
def test_flags_that_do_not_apply_are_refused_though_they_are_the_default(flag: list[str]) -> None:
    with pytest.raises(train.cli.InputError, match=rf"{flag[0]}: does not apply to --f1 grid"):
        options_of("--f1", "grid", *flag)
    assert train.parse_arguments(flag).f1 == "siren"


def test_options_load_no_heavy_library() -> None:
    command = "import src.tasks.lightmap_options, sys; sys.exit(any(m in sys.modules for m in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
