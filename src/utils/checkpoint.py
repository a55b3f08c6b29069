"""Checkpoint files: plain types and tensors, written whole or not at all, read without running anything in them."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import torch
from torch import Tensor, nn

from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error

Model = TypeVar("Model", bound=nn.Module)

# What zipfile raises, which a flipped bit can make believe in compression or encryption.
_UNSOUND = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)

FORMAT = "airender-checkpoint"
VERSION = 1


def write(path: str | Path, kind: str, content: dict) -> None:
    """Write ``content`` (plain types and tensors) as a checkpoint of ``kind``; the old file stays until it is whole.

    Raises :class:`InputError` when the disk is full or the folder cannot be written.
    """
    write_tensors(path, {"format": FORMAT, "version": VERSION, "kind": kind, **content})


def write_tensors(path: str | Path, content: dict) -> None:
    """Write a dictionary such as a state dict in PyTorch's own format, atomically."""
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            _save(content, file)
    except OSError as error:
        raise describe_os_error(error, path) from error


def _save(content: dict, file: BinaryIO) -> None:
    """Straight into the file: a second copy of a large map's state would be gigabytes."""
    try:
        torch.save(content, file)
    except RuntimeError as error:  # PyTorch's writer goes on to its archive's end, and complains about that
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write ``content`` atomically. Raises :class:`InputError` when the file system refuses."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise describe_os_error(error, path) from error


def read(path: str | Path, kind: str) -> dict:
    """Read a checkpoint of ``kind``, tensors on the CPU. Raises :class:`InputError` if it is not one."""
    content = _load(path)
    if content.get("format") != FORMAT:
        raise InputError(path, "not a checkpoint of this project", "give a file that a training script wrote")
    if content.get("version") != VERSION:
        raise InputError(path, f"checkpoint version {content.get('version')}, this code reads {VERSION}")
    if content.get("kind") != kind:
        raise InputError(path, f"a checkpoint of kind {content.get('kind')!r}, expected {kind!r}")
    return content


def read_model(path: str | Path, kind: str, build: Callable[[dict], Model]) -> Model:
    """The model of a checkpoint of ``kind``, on the CPU, in evaluation mode, with the weights that are stored.

    ``build`` makes it of what is stored beside them. Raises :class:`InputError` for what is no such checkpoint, and for
    a model that this code cannot build.
    """
    content = read(path, kind)
    try:
        stored = content["model"]
        model = build(stored)
        model.load_state_dict(stored["state"])
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(path, "its model does not fit this code", "give a checkpoint of this version") from error
    return model.eval()


def read_kind(path: str | Path) -> str | None:
    """The kind of a checkpoint, None for other files in PyTorch's format. Raises :class:`InputError` for the rest."""
    content = _load(path)
    return content.get("kind") if content.get("format") == FORMAT else None


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """A state dict from a ``.pt`` file, or from the parameters of a TorchScript file."""
    if _is_torchscript(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated or not, TorchScript is what engines with libtorch load
            try:
                with open(path, "rb") as file:
                    _require_sound(file)
                return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
            except _UNSOUND as error:
                raise InputError(path, "cannot be read as TorchScript (damaged)", "export it again") from error
    content = _load(path)
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(path, "not a state dict of tensors", "give f2_state_dict.pt or f2_ts.pt")
    return content


def _load(path: str | Path) -> dict:
    if not Path(path).is_file():
        raise InputError(path, "no such file", "check the path")
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickles that are refused right after
        try:
            _require_sound(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # PyTorch raises half a dozen kinds, OSError too, for a damaged or a hostile file
            raise InputError(
                path, "cannot be read as a checkpoint (truncated, damaged, or not one)", "train or export it again"
            ) from error
    if not isinstance(content, dict):
        raise InputError(path, "not a checkpoint of this project", "give a file that a training script wrote")
    return content


def _require_sound(file: BinaryIO) -> None:
    """Raise one of ``_UNSOUND`` where a part does not fit its checksum: PyTorch takes a flipped bit for a weight."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} does not fit its checksum")
    file.seek(0)


def _is_torchscript(path: str | Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, FileNotFoundError, IsADirectoryError):
        return False
