"""Images are never replaced by their results."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookwider.errors import ConfigError
from lookwider.inference.overwriting import check_images_stay


@pytest.mark.parametrize("image", ["a.png", "a.tif", "deep/a_overlay.jpg"])
def test_an_image_that_a_result_would_replace_is_named(tmp_path: Path, image: str) -> None:
    path = tmp_path / image
    path.parent.mkdir(exist_ok=True)
    path.touch()
    name = image.partition(".")[0].removesuffix("_overlay")
    with pytest.raises(ConfigError, match=rf"where {image} is one of the images.*with --out"):
        check_images_stay([(path, name)], tmp_path)


def test_folders_are_the_same_by_any_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    with pytest.raises(ConfigError, match="would be replaced"):
        check_images_stay([(tmp_path / "images" / "a.png", "a")], tmp_path / "link")


def test_other_files_and_folders_may_be_shared(tmp_path: Path) -> None:
    check_images_stay([(tmp_path / "a.jpg", "a"), (tmp_path / "deep/b.png", "b")], tmp_path)
    check_images_stay([(tmp_path / "a.png", "a"), ("s3://bucket/a.png", "b")], tmp_path / "out")
