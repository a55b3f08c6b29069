"""Every script is quick to start."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("*.py")))
def test_help_loads_no_heavy_library(name):
    """What makes a script slow to start is what it imports."""
    program = (
        "import runpy, sys\n"
        f"sys.argv = [{name!r}, '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'cv2', 'OpenEXR', 'av', 'tensorboard', 'tqdm'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout and done.stdout.endswith("heavy: []\n")
