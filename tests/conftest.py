import time

import hypothesis
import pytest
import torch

from tests import tiny_runs
from tests.clock import Clock
from tests.export.viewer.browser import chromium

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny products are slower on several threads, and bit-for-bit comparisons hold for one number of threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def browser():
    """Chromium, or a skip. One for all tests of a process: Playwright cannot be started a second time beside itself."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a test says so."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.seconds)
    return clock


@pytest.fixture
def day(tmp_path):
    """A folder with four small lightmaps."""
    return tiny_runs.write_day(tmp_path / "day")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished run with exports, of sizes and harmonics that are nobody's default. Read only."""
    folder = tmp_path_factory.mktemp("trained")
    data_dir = tiny_runs.write_day(folder / "day", height=11, width=14)
    run = folder / "run"
    sizes = {"latent_dim": 5, "hidden_f1": 9, "layers_f1": 2, "hidden_f2": 12, "layers_f2": 3, "time_harmonics": 3}
    tiny_runs.train(data_dir, run, epochs=8, save_every=4, compute_latent=True, **sizes)
    return run
