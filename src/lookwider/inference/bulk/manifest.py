"""``manifest.parquet``: one row per image, written part by part while a job goes on."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lookwider.errors import DataError, LookwiderError, MissingExtraError
from lookwider.images import atomic_path
from lookwider.inference.bulk.buckets import is_address
from lookwider.inference.bulk.job import BulkImage
from lookwider.inference.bulk.places import MANIFEST, job_folder, work_folder
from lookwider.inference.bulk.records import Record
from lookwider.inference.progress import printable
from lookwider.predictions import label_path

PART_ROWS = 10_000
"""A part is written when it has so many rows,"""

PART_SECONDS = 5.0
"""or when its first row is so old: what the end of this process can cost."""

IDENTITY = "lookwider.job"
"""Key of the metadata that say what the results depend on."""


class Manifest:
    """The rows of a job's images, those of earlier, interrupted jobs included.

    While a job goes on its rows are in ``.manifest/part-*.parquet``; ``manifest.parquet`` is there
    only when it has ended. Made by `open_manifest`.

    Attributes:
        begun_anew: whether there were results of another model or other settings.
    """

    def __init__(self, out: Path, identity: str) -> None:
        self.out, self.identity, self.begun_anew = out, identity, False
        self._rows: list[Record] = []
        self._since = time.monotonic()
        self._take_up()
        self._next = self._free_number()
        self._known = self._read_known()

    def finished(self, image: BulkImage) -> bool:
        """Return whether an image is done: recorded, unchanged, and its label map there."""
        known = self._known.get(printable(image.name))
        if known is None or known["path"] != printable(image.source):
            return False
        if not label_path(self.out, image.name).is_file():
            return False
        if is_address(image.source):  # what the bucket's list does not say is taken as unchanged
            now = {"bytes": image.bytes, "modified": image.modified}
            return all(value in (None, known[key]) for key, value in now.items())
        try:
            about = Path(image.source).stat()
        except OSError:
            return False
        return bool((about.st_size, about.st_mtime_ns) == (known["bytes"], known["modified"]))

    def add(self, record: Record) -> None:
        """Add a row; a later one of the same image takes its place."""
        if not self._rows:
            self._since = time.monotonic()
        self._rows.append(record)
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._since >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not written yet, as a part."""
        if self._rows:
            self._write(self._part(self._next), _table(self._rows))
            self._next += 1
            self._rows = []

    def close(self) -> Path:
        """Merge the parts into ``manifest.parquet``, one row per image; return it."""
        self.flush()
        path = self.out / MANIFEST
        tables = [_read(part) for part in self._parts()]
        # parts of an earlier version may lack a column
        whole = _pyarrow().concat_tables([_table([]), *tables], promote_options="default")
        last = {name: row for row, name in enumerate(whole.column("name").to_pylist())}
        rows = _pyarrow().array([last[name] for name in sorted(last)], "int64")
        self._write(path, whole.take(rows))
        for part in self._parts():
            part.unlink()
        return path

    def _parts(self) -> list[Path]:
        return sorted(job_folder(self.out).glob("part-*.parquet"))

    def _part(self, number: int) -> Path:
        return job_folder(self.out) / f"part-{number:08}.parquet"

    def _free_number(self) -> int:
        return 1 + max((int(part.stem.partition("-")[2]) for part in self._parts()), default=-1)

    def _take_up(self) -> None:
        """Make what is there parts of this job, or remove it where it is another job's."""
        whole = self.out / MANIFEST
        if whole.is_file():
            whole.replace(self._part(self._free_number()))
        for part in self._parts():
            if _identity_of(part) != self.identity:
                part.unlink()
                self.begun_anew = True

    def _read_known(self) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {}
        columns = {"path": "path", "bytes": "image_bytes", "modified": "image_modified"}
        for part in self._parts():
            table = _read(part)
            values = {key: table.column(name).to_pylist() for key, name in columns.items()}
            names, statuses = (table.column(name).to_pylist() for name in ("name", "status"))
            for row, (name, status) in enumerate(zip(names, statuses, strict=True)):
                known.pop(name, None)
                if status == "done":
                    known[name] = {key: column[row] for key, column in values.items()}
        return known

    def _write(self, path: Path, table: Any) -> None:
        from pyarrow import parquet

        try:
            with atomic_path(path) as temporary:
                parquet.write_table(
                    table.replace_schema_metadata({IDENTITY: self.identity}), temporary
                )
        except OSError as error:
            raise LookwiderError(
                f"{path}: cannot be written: {error}; is the disk full? What is recorded is kept, "
                "and the same command goes on"
            ) from error


@contextmanager
def open_manifest(out: Path, identity: dict[str, Any]) -> Iterator[Manifest]:
    """Yield the manifest of a results' folder, which no other job can open meanwhile.

    What was added is written also when the block fails; `Manifest.close` ends the job.

    Args:
        out: folder of the results.
        identity: what the results depend on; rows of any other are removed.

    Raises:
        MissingExtraError: pyarrow is not installed.
        LookwiderError: another job writes there, or rows cannot be written.
        DataError: what is there is damaged.
    """
    _pyarrow()
    folder = job_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        _lock(lock, out)
        shutil.rmtree(work_folder(out), ignore_errors=True)  # of workers that are gone
        manifest = Manifest(out, json.dumps(identity, sort_keys=True))
        try:
            yield manifest
        finally:
            manifest.flush()
        if (out / MANIFEST).is_file():
            shutil.rmtree(folder, ignore_errors=True)


def read_manifest(path: str | Path) -> list[Record]:
    """Return the rows of a manifest, by the images' names.

    Raises:
        DataError: it is missing or damaged.
        MissingExtraError: pyarrow is not installed.
    """
    rows = _read(Path(path)).to_pylist()
    fields = [field.name for field in dataclasses.fields(Record)]
    return [Record(**{name: row.get(name) for name in fields}) for row in rows]


def _lock(file: IO[str], out: Path) -> None:
    import fcntl  # not on every system, and only jobs need it

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LookwiderError(
            f"{out}: another job is writing there; wait for its end, or take another folder"
        ) from error


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("pyarrow", "bulk", "a job with a manifest (--workers)") from error
    return pyarrow


def _table(records: list[Record]) -> Any:
    pa = _pyarrow()
    texts = ("name", "path", "status", "error", "image_sha256", "labels_sha256")
    types = {**dict.fromkeys(texts, pa.string()), "seconds": pa.float64()}
    columns = {}
    for field in dataclasses.fields(Record):
        values = [getattr(record, field.name) for record in records]
        if field.name in texts:  # names that are no text are escaped
            values = [None if value is None else printable(value) for value in values]
        columns[field.name] = pa.array(values, types.get(field.name, pa.int64()))
    return pa.table(columns)


def _read(path: Path) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(path, partitioning=None)
    except (OSError, ArrowException) as error:
        raise DataError(
            f"{path}: cannot be read: {error}; remove it, and its images are segmented again"
        ) from error


def _identity_of(path: Path) -> str | None:
    metadata = _read(path).schema.metadata or {}
    found = metadata.get(IDENTITY.encode())
    return None if found is None else str(found.decode())
