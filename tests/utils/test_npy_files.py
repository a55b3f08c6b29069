import errno
import sys

import numpy as np
import pytest

from src.utils.npy_files import write_npy


@pytest.mark.parametrize(("shape", "dtype"), [((6, 5, 3), "<f4"), ((7, 2), "<f2"), ((0, 4), "<f4")])
def test_numpy_reads_what_the_parts_held(tmp_path, shape, dtype):
    array = np.random.default_rng(0).random(shape).astype(dtype)
    write_npy(tmp_path / "a.npy", shape, dtype, [array[:2], array[2:]])
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.dtype == np.dtype(dtype) and read.shape == shape and np.array_equal(read, array)


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_disk_that_refuses_is_the_systems_error_about_that_file(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            write_npy(tmp_path / "a.npy", (100, 100), "<f4", [np.ones((100, 100), np.float32)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.errno == errno.EFBIG and refused.value.filename == str(tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []
