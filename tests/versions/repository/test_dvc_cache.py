"""Where DVC's cache has a file."""

from pathlib import Path

import pytest

from stages.common.errors import VersionError
from versions.repository import dvc_cache, git

MD5 = "0123456789abcdef0123456789abcdef"


def test_the_cache_is_the_one_that_dvc_is_configured_with(tmp_path: Path) -> None:
    for name, config in (("plain", ""), ("shared", f"[cache]\n    dir = {tmp_path / 'cache'}\n")):
        (tmp_path / name / ".dvc").mkdir(parents=True)
        (tmp_path / name / ".dvc" / "config").write_text(config, "utf-8")
        git.git("init", "--quiet", folder=tmp_path / name)
    place = Path("files/md5", MD5[:2], MD5[2:])
    assert dvc_cache.path(MD5, tmp_path / "plain") == tmp_path / "plain" / ".dvc/cache" / place
    assert dvc_cache.path(MD5, tmp_path / "shared") == tmp_path / "cache" / place


def test_a_folder_that_is_no_project_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match=tmp_path.name) as raised:
        dvc_cache.path(MD5, tmp_path)
    assert "\n" not in str(raised.value)
