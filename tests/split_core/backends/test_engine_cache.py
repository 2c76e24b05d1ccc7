from __future__ import annotations

import stat
from pathlib import Path

import pytest

from split_core.backends.engine_cache import EngineCache, default_folder, key_of
from split_core.errors import ConfigError


def test_what_is_put_is_got(tmp_path: Path):
    cache = EngineCache(tmp_path)
    cache.put("key", b"an engine")
    assert cache.get("key") == b"an engine"
    assert cache.get("other") is None


def test_a_damaged_engine_is_none(tmp_path: Path):
    cache = EngineCache(tmp_path)
    cache.put("key", b"an engine")
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    for damaged in (bytes(content), content[:-1], content[:10], b""):
        file.write_bytes(damaged)
        assert cache.get("key") is None


def test_the_folder_is_nobody_elses(tmp_path: Path):
    cache = EngineCache(tmp_path / "engines")
    cache.put("key", b"an engine")
    assert stat.S_IMODE((tmp_path / "engines").stat().st_mode) == 0o700


def test_a_disk_that_refuses_stops_nobody(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    cache = EngineCache(tmp_path / "file" / "engines")
    cache.put("key", b"an engine")
    assert cache.get("key") is None


def test_nothing_is_left_half_written(tmp_path: Path):
    cache = EngineCache(tmp_path)
    cache.put("key", b"an engine")
    cache.put("key", b"another")
    assert [path.name for path in tmp_path.iterdir()] == ["key.engine"]


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "offramp" / "engines"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_folder() == Path("/home/me/.cache/offramp/engines")


def test_a_user_without_a_home_is_told_what_to_give(monkeypatch: pytest.MonkeyPatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigError, match="say in which folder"):
        default_folder()


def test_a_key_depends_on_every_part_and_not_on_their_order():
    base = {"model": "a", "ranges": {"batch": [1, 1, 8]}}
    assert key_of(**base) == key_of(ranges={"batch": [1, 1, 8]}, model="a")
    assert len({key_of(**base), key_of(**{**base, "model": "b"}), key_of(**{**base, "ranges": {}})}) == 3
