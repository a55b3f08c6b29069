import sys
import threading

import numpy as np
import pytest

from src.training.logger import Logger
from src.utils.cli import InputError


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_disk_that_refuses_is_one_line_and_no_traceback_of_a_thread(tmp_path, capsys):
    import resource

    hook = threading.excepthook
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(InputError, match="logs: File too large"):
            logger = Logger(tmp_path, is_main=True, total=9, first_step=0)
            try:
                for step in range(9):
                    logger.image(step, "noise", np.random.default_rng(step).random((30, 30, 3), np.float32))
            finally:
                logger.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "Traceback" not in capsys.readouterr().err
    assert threading.excepthook is hook
