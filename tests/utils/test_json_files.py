import json

import pytest

from src.utils.cli import InputError
from src.utils.json_files import read_json, write_json


@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_written_is_read(tmp_path, indent):
    content = {"name": "Zoë 光", "values": [1, 2.5, None]}
    write_json(tmp_path / "a.json", content, indent)
    assert read_json(tmp_path / "a.json") == content
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == content


def test_a_byte_order_mark_is_no_content(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe{}"])
def test_what_is_not_json_is_named(tmp_path, damage):
    (tmp_path / "a.json").write_bytes(damage)
    with pytest.raises(InputError, match=r"a\.json: is not JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"b\.json: no such file"):
        read_json(tmp_path / "b.json")


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", [object()])
    assert read_json(tmp_path / "a.json") == [1] and len(list(tmp_path.iterdir())) == 1
