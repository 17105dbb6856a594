"""Data sets in Hugging Face's format: local parquet or Arrow, or a name on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from lookwider.classes import Classes, ClassMap
from lookwider.data.decoder import LabelDecoder
from lookwider.data.labels import LabelValues, StoredLabel, count_values, decode_stored
from lookwider.data.parallel import map_files
from lookwider.data.proposal import propose
from lookwider.data.readers.files import check_same_size
from lookwider.data.readers.splits import split_of
from lookwider.data.sample import ImageArray, Sample
from lookwider.errors import DataError, MissingExtraError, unknown_name
from lookwider.images import open_image, pixels_of

IMAGE_COLUMNS = ("image", "img", "pixel_values", "picture")
LABEL_COLUMNS = (
    *("label", "labels", "annotation", "mask", "segmentation", "segmentation_mask"),
    *("semantic_segmentation", "seg", "gt", "label_image", "conditioning_image"),
)

Table = Any  # datasets.Dataset, which comes without types


class HuggingFaceDataset:
    """Samples of a data set whose rows hold an image and a label image; a `SegmentationDataset`.

    Args:
        source: a .parquet file, a folder of them (``train-*.parquet``, ...), a folder written by
            ``save_to_disk``, or a name on the hub.
        split: as of `open_dataset`; "val" also finds "validation", None joins all.
        classes: names and colours; found from the labels of all splits when None.
        class_map: as ``classes``.

    Raises:
        MissingExtraError: the ``datasets`` library is not installed.
        DataError: nothing can be loaded, or no columns hold images and labels.
    """

    extra_classes: Mapping[str, Classes] = {}

    def __init__(
        self,
        source: str,
        split: str | None = "train",
        *,
        classes: Classes | None = None,
        class_map: ClassMap | None = None,
    ) -> None:
        splits = _load(source)
        wanted = tuple(splits) if split is None else _wanted(source, split, tuple(splits))
        self.source = source
        self._rows = [(name, i) for name in wanted for i in range(len(splits[name]))]
        first = splits[wanted[0]]
        self._image_column = _column(source, first, IMAGE_COLUMNS, "image")
        self._label_column = _column(source, first, LABEL_COLUMNS, "label")
        self._splits = {name: _undecoded(rows, self.columns) for name, rows in splits.items()}
        self.names = tuple(f"{name}/{i:06d}" for name, i in self._rows)
        if not self.names:
            raise DataError(f"{source}: split {split!r} holds no rows")
        if classes is None or class_map is None:
            found = propose(self._label_values())
            classes, class_map = found.classes, found.class_map
        self.classes = classes
        self.class_map = class_map
        self._decoder = LabelDecoder(class_map, len(classes))

    @property
    def columns(self) -> tuple[str, str]:
        """The columns of the image and of the label."""
        return self._image_column, self._label_column

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def in_channels(self) -> int:
        """Bands of the first image; every other must have as many."""
        return int(self._image(0).shape[2])

    def __getitem__(self, index: int) -> Sample:
        """Read row ``index``.

        Raises:
            DataError: a cell is damaged, or image, label and class map do not fit each other.
        """
        image = self._image(index)
        if image.shape[2] != self.in_channels:
            raise DataError(
                f"image of {self._where(index)} has {image.shape[2]} bands, expected "
                f"{self.in_channels} as the first image has"
            )
        where = f"label of {self._where(index)}"
        label = self._decoder.decode(self._stored(*self._rows[index]), where)
        check_same_size(image, label, f"image of {self._where(index)}", where)
        return Sample(image, label, self.names[index])

    def _where(self, index: int) -> str:
        return f"{self.source}, row {self.names[index]}"

    def _image(self, index: int) -> ImageArray:
        name, row = self._rows[index]
        path, content = self._cell(name, row, self._image_column)
        with open_image(path, content) as image:
            return cast("ImageArray", pixels_of(image, path))

    def _stored(self, name: str, row: int) -> StoredLabel:
        path, content = self._cell(name, row, self._label_column)
        with open_image(path, content) as image:
            return decode_stored(image, path)

    def _cell(self, name: str, row: int, column: str) -> tuple[Path, bytes | None]:
        cell: dict[str, Any] | None = self._splits[name][row][column]
        where = Path(self.source) / f"{name}[{row}].{column}"
        if cell and cell.get("bytes") is not None:
            return where, cell["bytes"]
        if cell and cell.get("path") is not None:
            return Path(cell["path"]), None
        raise DataError(f"{where}: the cell is empty, expected an image")

    def _label_values(self) -> list[LabelValues]:
        rows = [(name, i) for name, table in self._splits.items() for i in range(len(table))]

        def look(row: tuple[str, int]) -> LabelValues:
            return count_values(self._stored(*row), f"label of {self.source}, row {row}")

        return map_files(look, rows, what="Looking at the labels")


def _load(source: str) -> dict[str, Table]:
    """Return the tables by split."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "hf", f"opening hf:{source}") from error
    path = Path(source)
    try:
        if path.is_file():
            loaded = datasets.load_dataset("parquet", data_files={"train": source})
        elif (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file():
            loaded = datasets.load_from_disk(source)
        else:
            loaded = datasets.load_dataset(source)
    except Exception as error:  # the library and its readers raise many kinds
        raise DataError(
            f"hf:{source}: cannot be loaded: {error}; expected a .parquet file, a folder of them, "
            "a folder from save_to_disk, or a name on the hub"
        ) from error
    if isinstance(loaded, datasets.Dataset):
        return {"train": loaded}
    return {split_of(name) or name: table for name, table in loaded.items()}


def _wanted(source: str, split: str, there: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(split_of(name) or name for name in split.split("+"))
    for name in names:
        if name not in there:
            raise DataError(f"hf:{source}: {unknown_name('split', name, there)}")
    return names


def _is_image(feature: object) -> bool:
    """Whether a column holds images: declared so, or as bytes and path (parquet of others)."""
    return type(feature).__name__ == "Image" or (isinstance(feature, dict) and "bytes" in feature)


def _undecoded(table: Table, columns: tuple[str, str]) -> Table:
    """Return the two columns as stored bytes, so that damage and losses can be told."""
    import datasets

    table = table.select_columns(list(columns))
    for column in columns:
        table = table.cast_column(column, datasets.Image(decode=False))
    return table


def _column(source: str, table: Table, usual: tuple[str, ...], what: str) -> str:
    held = [name for name, feature in table.features.items() if _is_image(feature)]
    found = next((name for name in usual if name in held), None)
    if found is None:
        raise DataError(
            f"hf:{source}: no {what} column; expected one of {', '.join(usual)} with images, got "
            f"the image columns {', '.join(held) or 'none'} among {', '.join(table.features)}"
        )
    return found
