"""Batches that are kept: a Parquet file each, `var/batches/<id>.parquet`, inputs and outputs.

A file is written under another name, brought to the disk, and only then renamed: a file that has
its name is whole, and survives a loss of power.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Self
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from stages.common import tables

FOLDER = "batches"
SUFFIX = ".parquet"

COMPRESSION = "lz4"
"""The cheapest: features are noise to a compressor, and the writer competes with the model."""

ABANDONED = 3600.0
"""Seconds after which nobody is still writing an unfinished file."""


class Meta(BaseModel):
    """What a batch is; kept as text in the metadata of its file's schema.

    Attributes:
        id: UUIDv7.
        created_at: ISO 8601, UTC.
        sessions: length of the horizon.
        level: share of outcomes that an interval should hold.
        revision: the commit that was checked out.
        model_version: its release; empty if it has none.
        client: name of the key that asked; empty without keys.
        request_id: as in the server's log of requests.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    id: str
    created_at: str
    horizon: str
    sessions: int
    level: float
    rows: int
    revision: str
    model_md5: str
    model_version: str
    client: str
    request_id: str

    def text(self) -> dict[str, str]:
        """By name, as the metadata of a schema."""
        return {name: str(value) for name, value in self}

    @classmethod
    def of(cls, metadata: Mapping[bytes, bytes] | None) -> Self:
        """Read what `text` wrote.

        Raises:
            ValueError: it is not the metadata of a batch.
        """
        text = {name.decode(): value.decode() for name, value in (metadata or {}).items()}
        return cls.model_validate_strings(text)


class Store:
    """The batches of a project.

    Args:
        var: where the server keeps files of its own.
    """

    def __init__(self, var: Path) -> None:
        self.folder = var / FOLDER

    def path(self, identifier: str | UUID) -> Path:
        """Where the file of a batch is or will be."""
        return self.folder / f"{UUID(str(identifier))}{SUFFIX}"

    @contextmanager
    def writer(self, meta: Meta, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        """Write a batch; it is durable at the end, and leaves nothing on any error.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        text = [field.name for field in schema if pa.types.is_string(field.type)]
        with tables.replacing(self.path(meta.id)) as partial, partial.open("wb") as file:
            with pq.ParquetWriter(
                file,
                schema.with_metadata(meta.text()),
                compression=COMPRESSION,
                use_dictionary=text,
                write_statistics=False,
                write_page_checksum=True,
            ) as writer:
                yield writer
            file.flush()
            os.fsync(file.fileno())
        _sync(self.folder)

    def clean(self) -> None:
        """Remove the unfinished files of servers that were killed."""
        for partial in self.folder.glob(f".*{SUFFIX}.partial"):
            # Another server may be faster.
            with suppress(FileNotFoundError):
                if time.time() - partial.stat().st_mtime > ABANDONED:
                    partial.unlink()

    def older(self, before: datetime) -> list[Path]:
        """The files of batches that were made before a moment.

        An id begins with the milliseconds since 1970-01-01 (RFC 9562).
        """
        limit = before.timestamp() * 1000
        older = []
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            # A file whose name is not an id is not ours.
            with suppress(ValueError):
                if UUID(path.stem).int >> 80 < limit:
                    older.append(path)
        return older


def read(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a batch, some thousand at a time, each page checked by its CRC."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield from file.iter_batches(columns=columns)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
