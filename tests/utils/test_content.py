import hashlib

import pytest

from src.utils.cli import InputError
from src.utils.content import digest, digests


def test_the_digest_is_that_of_the_content_alone(tmp_path):
    content = bytes(range(256)) * 10_000  # more than one block
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(content)
    b.write_bytes(content)
    assert digest(a) == digest(b) == hashlib.blake2b(content, digest_size=8).hexdigest()
    b.write_bytes(content[:-1] + b"x")
    assert digest(a) != digest(b)


def test_a_set_by_name_or_by_place(tmp_path):
    (tmp_path / "sub").mkdir()
    files = [tmp_path / "sub" / name for name in ("b", "a")]
    for file in files:
        file.write_text(file.name)
    assert digests(files) == {"b": digest(files[0]), "a": digest(files[1])}
    assert list(digests(files, tmp_path)) == ["sub/b", "sub/a"]
    with pytest.raises(InputError, match="gone: No such file or directory"):
        digests([tmp_path / "gone"])
