"""That the bucket has every object of a revision before something is promoted."""

from pathlib import Path

import pytest

from stages.common.errors import VersionError
from tests.narrow import GONE, SMALL, Narrow
from tests.s3 import S3
from versions.storage import completeness
from versions.storage.completeness import Sent

pytestmark = pytest.mark.slow


def test_a_revision_is_completed_in_the_bucket(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    where = "s3://stocks/cache/files/md5"
    assert completeness.ensure("HEAD", first.folder) == Sent(where, 6, 6)
    # A clone without data sees the same, from the bucket alone.
    second = first.clone(tmp_path / "second")
    second.point(s3)
    assert completeness.ensure("HEAD", second.folder) == Sent(where, 6, 0)

    (lost,) = (path for path in s3.objects().values() if path.read_bytes() == SMALL["data/01.bin"])
    s3.stop()
    lost.unlink()
    s3.start()
    with pytest.raises(VersionError, match=r"^data/01.bin of HEAD is neither in s3://stocks/cache"):
        completeness.ensure("HEAD", second.folder)
    assert not second.cached()
    assert completeness.ensure("HEAD", first.folder) == Sent(where, 6, 1)

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(VersionError, match="refuses the signature: look at AWS_SECRET_ACCESS_KEY"):
        completeness.ensure("HEAD", first.folder)
    s3.stop()
    with pytest.raises(VersionError) as raised:
        completeness.ensure("HEAD", first.folder)
    assert str(raised.value).startswith(f"{s3.url} {GONE}")
