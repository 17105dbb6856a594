import builtins
import io

import numpy as np
import pytest
from PIL import Image

from lookwider.classes import Classes, ClassMap
from lookwider.data import SegmentationDataset, open_dataset
from lookwider.errors import DataError, MissingExtraError

datasets = pytest.importorskip("datasets")

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), np.uint8)
LABELS = np.random.default_rng(1).integers(0, 3, (5, 6, 8), np.uint8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def encoded(array: np.ndarray, kind: str = "PNG") -> dict:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return {"bytes": buffer.getvalue(), "path": None}


def table(rows=range(5), image="image", label="annotation", kind="PNG"):
    features = datasets.Features({image: datasets.Image(), label: datasets.Image()})
    columns = {
        image: [encoded(IMAGES[i]) for i in rows],
        label: [encoded(LABELS[i], kind) for i in rows],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def check(data, rows):
    assert isinstance(data, SegmentationDataset)
    assert (len(data), data.in_channels) == (len(rows), 3)
    for sample, i in zip(data, rows, strict=True):
        np.testing.assert_array_equal(sample.image, IMAGES[i])
        np.testing.assert_array_equal(sample.label, LABELS[i])


def test_one_parquet_file(tmp_path):
    table().to_parquet(tmp_path / "mine.parquet")
    data = open_dataset(f"hf:{tmp_path}/mine.parquet")
    check(data, range(5))
    assert data.names[0] == "train/000000"
    assert data.class_map == ClassMap.identity(3)


def test_a_folder_of_parquet_files(tmp_path):
    table([0, 1, 2]).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    table([3]).to_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet")
    check(open_dataset(f"hf:{tmp_path}/data", "train"), [0, 1, 2])
    check(open_dataset(f"hf:{tmp_path}/data", "val"), [3])
    check(open_dataset(f"hf:{tmp_path}/data", None), [0, 1, 2, 3])
    with pytest.raises(DataError, match="unknown split 'test'; known: train, val"):
        open_dataset(f"hf:{tmp_path}/data", "test")


def test_saved_to_disk(tmp_path):
    datasets.DatasetDict({"train": table([0]), "test": table([1, 2])}).save_to_disk(tmp_path / "a")
    check(open_dataset(f"hf:{tmp_path}/a", "test"), [1, 2])
    table([4]).save_to_disk(tmp_path / "b")
    check(open_dataset(f"hf:{tmp_path}/b"), [4])


def test_parquet_of_others_and_other_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {
        "img": [encoded(image) for image in IMAGES],
        "mask": [encoded(label) for label in LABELS],
        "id": list(range(5)),
    }
    pq.write_table(pa.table(rows), tmp_path / "plain.parquet")
    data = open_dataset(f"hf:{tmp_path}/plain.parquet")
    assert data.columns == ("img", "mask")
    check(data, range(5))


def test_given_classes(tmp_path):
    table().to_parquet(tmp_path / "a.parquet")
    data = open_dataset(
        f"hf:{tmp_path}/a.parquet",
        classes=Classes.named(["a", "b"]),
        class_map=ClassMap({0: 1, 1: 0}, frozenset({2})),
    )
    np.testing.assert_array_equal(data[0].label, np.array([1, 0, 255], np.uint8)[LABELS[0]])


def test_lossy_labels_are_refused(tmp_path):
    table(kind="JPEG").to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"train\[\d\]\.annotation: stored as JPEG, with losses"):
        open_dataset(f"hf:{tmp_path}/a.parquet")


def test_damage_and_sizes(tmp_path):
    rows = table([0, 1, 2]).cast_column("image", datasets.Image(decode=False))
    images = rows["image"][:]
    images[1] = {"bytes": images[1]["bytes"][:60], "path": None}
    images[2] = encoded(IMAGES[2][:4])
    columns = {"image": images, "annotation": [encoded(LABELS[i]) for i in range(3)]}
    datasets.Dataset.from_dict(columns).to_parquet(tmp_path / "a.parquet")
    data = open_dataset(f"hf:{tmp_path}/a.parquet")
    assert data[0].name == "train/000000"
    with pytest.raises(DataError, match=r"train\[1\]\.image: (damaged|not an image)"):
        data[1]
    with pytest.raises(DataError, match=r"image of .*train/000002 is 4 x 8 .* but label of .*6 x"):
        data[2]


def test_an_empty_cell(tmp_path):
    columns = {"image": [encoded(IMAGES[0]), None], "label": [encoded(LABELS[0])] * 2}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Image()})
    datasets.Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"train\[1\]\.image: the cell is empty"):
        open_dataset(f"hf:{tmp_path}/a.parquet")[1]


def test_no_image_columns(tmp_path):
    datasets.Dataset.from_dict({"image": [1], "text": ["a"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"no image column; .* got the image columns none among"):
        open_dataset(f"hf:{tmp_path}/a.parquet")


def test_nothing_there(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"hf:.*a\.parquet: cannot be loaded"):
        open_dataset(f"hf:{tmp_path}/a.parquet")


def test_without_the_library(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "datasets":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'lookwider\[hf\]'"):
        open_dataset("hf:anything")
