"""The secret: made once, read by its owner only, told to nobody."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from adrs.secret import chosen, kept, mark


def test_it_is_made_once_for_its_owner_only_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        secret = kept(tmp_path / "new" / "secret")
    finally:
        os.umask(before)
    path = tmp_path / "new" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept(path) == secret
    assert len(secret) == 64
    assert os.listdir(path.parent) == ["secret"]


def test_two_places_have_two_secrets(tmp_path):
    assert kept(tmp_path / "a") != kept(tmp_path / "b")


def test_all_that_make_it_at_once_get_the_same(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(kept, [tmp_path / "secret"] * 8))
    assert len(found) == 1


def test_a_setting_is_a_file_or_the_default_or_no_secret_at_all(tmp_path):
    default = kept(tmp_path / "default")
    assert chosen(None, tmp_path / "default") == default
    assert chosen(str(tmp_path / "mine"), tmp_path / "default") != default
    assert chosen("public", tmp_path / "none") == b""
    assert not (tmp_path / "none").exists()


def test_a_secret_that_can_be_guessed_is_refused(tmp_path):
    (tmp_path / "short").write_text("hunter2\n")
    with pytest.raises(ValueError, match="holds a secret of 7 bytes"):
        kept(tmp_path / "short")


def test_a_place_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "runs").write_text("no folder")
    says = r"^cannot write to .*/runs/s: .*writable, or say secret=FILE$"
    with pytest.raises(OSError, match=says):
        kept(tmp_path / "runs" / "s")


def test_its_mark_tells_equal_from_different_and_not_what_it_is():
    assert mark(b"a" * 64) == mark(b"a" * 64) != mark(b"b" * 64)
    assert mark(b"") == "public"
    assert "aaa" not in mark(b"a" * 64)
