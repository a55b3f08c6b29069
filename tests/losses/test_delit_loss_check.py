"""The command that prints every term of a sample, its value and the norm of its gradient."""

import pytest
import torch

from src.losses.delit_loss_check import main
from src.utils.hdr_codec import CODECS
from tests.losses.delit_loss.terms import COMMON, ORIGINAL, SPHERE


@pytest.mark.parametrize("codec", CODECS)
def test_the_command_prints_every_term_and_says_why_lpips_is_skipped(codec, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert main(["--env_codec", codec]) == 0
    printed = capsys.readouterr().out
    for name in SPHERE | ORIGINAL | COMMON - {"flat_lpips"}:
        line = next(line for line in printed.splitlines() if line.split()[:1] == [name])
        value, norm = map(float, line.split()[1:])
        assert value > 0 or name == "flat_confidence"  # the logarithm of a density
        assert norm > 0
    assert f"flat_lpips skipped: {tmp_path}" in printed
    assert main(["--lpips_weights", str(tmp_path / "absent.pth")]) == 2


def test_the_command_runs_lpips_where_weights_are(random_backbone, capsys):
    assert main(["--lpips_weights", str(random_backbone)]) == 0
    assert "\n  flat_lpips " in capsys.readouterr().out
