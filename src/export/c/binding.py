"""The C decoder from Python: tod.h, compiled here and called by ctypes. What checks it and what times it goes this way.

library = load(build(c_compiler(), Path("libtod.so")))
rgb = CDecoder(library, Path("day.tod").read_bytes()).frame(17.5)
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HEADER = Path(__file__).with_name("tod.h")
NEAREST, BILINEAR = 0, 1
_FLOATS = ctypes.POINTER(ctypes.c_float)


class _Lightmap(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("first_row", ctypes.c_int),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
    ]


class _Info(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("is_radiance", ctypes.c_int),
        ("hour_count", ctypes.c_int),
        ("hours", ctypes.POINTER(ctypes.c_double)),
        ("event_count", ctypes.c_int),
        ("events", ctypes.POINTER(ctypes.c_double)),
        ("lightmap_count", ctypes.c_int),
        ("lightmaps", ctypes.POINTER(_Lightmap)),
        ("latent_dim", ctypes.c_int),
        ("latent_bits", ctypes.c_int),
        ("index", ctypes.POINTER(ctypes.c_uint32)),
        ("words", ctypes.POINTER(ctypes.c_uint32)),
        ("index_count", ctypes.c_size_t),
        ("word_count", ctypes.c_size_t),
        ("resident_bytes", ctypes.c_size_t),
    ]


def c_compiler() -> str | None:
    """gcc, or what else is called cc."""
    return shutil.which("gcc") or shutil.which("cc")


def build(
    compiler: str, out: Path, flags: Sequence[str] = ("-O3", "-march=native"), source: Path | None = None
) -> Path:
    """Compile ``source``, by default the decoder alone as a shared library, to ``out``, which is returned.

    Raises :class:`subprocess.CalledProcessError`, its ``stderr`` what the compiler said.
    """
    if source:
        files = [f"-I{HEADER.parent}", str(source)]
    else:
        files = ["-shared", "-fPIC", "-DTOD_IMPLEMENTATION", "-x", "c", str(HEADER)]
    subprocess.run([compiler, *flags, *files, "-o", str(out)], check=True, capture_output=True, text=True)
    return out


def load(library: Path) -> ctypes.CDLL:
    """The functions of tod.h with their types."""
    lib = ctypes.CDLL(str(library))
    size, hour, map_, number = ctypes.c_size_t, ctypes.c_double, ctypes.c_void_p, ctypes.c_int
    lib.tod_error_string.restype = ctypes.c_char_p
    lib.tod_get_info.restype = ctypes.POINTER(_Info)
    lib.tod_open.argtypes = [ctypes.c_char_p, size, ctypes.POINTER(map_)]
    lib.tod_close.argtypes = [map_]
    lib.tod_get_info.argtypes = [map_]
    lib.tod_find_lightmap.argtypes = [map_, ctypes.c_char_p]
    lib.tod_is_valid.argtypes = [map_, number, number, number]
    lib.tod_sample.argtypes = [map_, number, ctypes.c_float, ctypes.c_float, hour, number, _FLOATS]
    lib.tod_sample_many.argtypes = [map_, number, size, _FLOATS, hour, number, _FLOATS]
    lib.tod_decode_rect.argtypes = [map_, *[number] * 5, hour, _FLOATS, size]
    lib.tod_decode_frame.argtypes = [map_, number, hour, _FLOATS]
    return lib


def _floats(array: np.ndarray) -> object:
    return array.ctypes.data_as(_FLOATS)


class CDecoder:
    """A bundle that the C decoder has opened. Raises :class:`ValueError` with its sentence when it refuses."""

    def __init__(self, lib: ctypes.CDLL, content: bytes) -> None:
        self.lib, self._map = lib, ctypes.c_void_p()
        self._check(lib.tod_open(content, len(content), ctypes.byref(self._map)))
        self.info = lib.tod_get_info(self._map).contents

    def __del__(self) -> None:
        self.lib.tod_close(self._map)

    def _check(self, error: int) -> None:
        if error:
            raise ValueError(self.lib.tod_error_string(error).decode())

    def lightmap(self, name: str) -> int:
        return self.lib.tod_find_lightmap(self._map, name.encode())

    def is_valid(self, lightmap: int, x: int, y: int) -> bool:
        return bool(self.lib.tod_is_valid(self._map, lightmap, x, y))

    def frame(self, hour: float, lightmap: int = 0, out: np.ndarray | None = None) -> np.ndarray:
        """Height x width x 3 float32, in ``out`` where there is one."""
        part = self.info.lightmaps[lightmap]
        rgb = np.full((part.height, part.width, 3), np.nan, np.float32) if out is None else out
        self._check(self.lib.tod_decode_frame(self._map, lightmap, hour, _floats(rgb)))
        return rgb

    def rect(self, x: int, y: int, width: int, height: int, hour: float, lightmap: int = 0, gap: int = 0) -> np.ndarray:
        rgb = np.full((height, 3 * width + gap), np.nan, np.float32)
        error = self.lib.tod_decode_rect(
            self._map, lightmap, x, y, width, height, hour, _floats(rgb), 3 * width + gap if gap else 0
        )
        self._check(error)
        assert np.isnan(rgb[:, 3 * width :]).all()
        return rgb[:, : 3 * width].reshape(height, width, 3)

    def sample(
        self, uv: np.ndarray, hour: float, filter_: int = NEAREST, lightmap: int = 0, out: np.ndarray | None = None
    ) -> np.ndarray:
        """N x 3 float32, in ``out`` where there is one."""
        uv = np.ascontiguousarray(uv, np.float32)
        rgb = np.full((len(uv), 3), np.nan, np.float32) if out is None else out
        self._check(self.lib.tod_sample_many(self._map, lightmap, len(uv), _floats(uv), hour, filter_, _floats(rgb)))
        return rgb

    def sample_one(self, u: float, v: float, hour: float, filter_: int = NEAREST, lightmap: int = 0) -> np.ndarray:
        rgb = np.full(3, np.nan, np.float32)
        self._check(self.lib.tod_sample(self._map, lightmap, u, v, hour, filter_, _floats(rgb)))
        return rgb

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """``index`` and ``words`` of the format's packed form, uint32."""
        index = np.ctypeslib.as_array(self.info.index, (self.info.index_count,))
        return index.copy(), np.ctypeslib.as_array(self.info.words, (self.info.word_count,)).copy()
