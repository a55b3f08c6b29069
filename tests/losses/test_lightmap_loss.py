import math

import pytest

from src.losses.lightmap_loss import psnr_db


def test_psnr():
    assert psnr_db(0.01) == pytest.approx(20.0)
    assert psnr_db(1.0) == 0.0
    assert psnr_db(0.01, peak=10.0) == pytest.approx(40.0)
    assert psnr_db(0.0) == math.inf
