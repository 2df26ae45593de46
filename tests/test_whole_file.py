import pytest

from adrs.whole_file import write_whole


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_beside(tmp_path):
    path = tmp_path / "kept.json"
    write_whole(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "second \ud800")
    assert path.read_text() == "first"
    assert [found.name for found in tmp_path.iterdir()] == ["kept.json"]


def test_a_full_disk_is_told_with_the_file(tmp_path):
    path = tmp_path / "kept.json"
    (tmp_path / ".kept.json.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*kept\.json"):
        write_whole(path, "text")
    assert not list(tmp_path.iterdir())


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_whole(link, "text")
    assert link.is_symlink()
