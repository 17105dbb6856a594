"""The data doctor on one data set for each kind of damage."""

import io
import zlib

import numpy as np
import scipy.io
from PIL import Image
from tests.data.doctor.complaints import LABEL, assert_unusable

from lookwider.data import check_dataset


def test_truncated_image(folder, photo):
    buffer = io.BytesIO()
    Image.fromarray(photo(0, 60, 80)).save(buffer, "PNG")
    (folder / "images" / "1.png").write_bytes(buffer.getvalue()[:3000])
    report = check_dataset(folder)
    assert_unusable(report, r"images/1\.png: .*damaged or truncated")
    assert len(report.bad) == 1


def test_zero_byte_label(folder):
    (folder / "labels" / "2.png").write_bytes(b"")
    assert_unusable(check_dataset(folder), r"labels/2\.png: .*not an image .*\(0 bytes\)")


def test_jpeg_labels(folder):
    for i in range(4):
        Image.fromarray(LABEL).save(folder / "labels" / f"{i}.png", format="JPEG")
    report = check_dataset(folder)
    assert len(report.bad) == 4
    assert_unusable(report, "with losses that mix class ids at every border; export .* as PNG")


def test_label_of_another_size(folder, put):
    put(folder / "labels" / "1.png", LABEL[:4])
    assert_unusable(check_dataset(folder), r"labels/1.png: label is 4 x 8 .* its image is 6 x 8")


def test_class_ids_out_of_range(folder, put):
    (folder / "classes.txt").write_text("a\nb\nc\n")
    label = LABEL.copy()
    label[0, :5] = 34
    put(folder / "labels" / "3.png", label)
    report = check_dataset(folder)
    assert_unusable(
        report, r"3\.png: has class id 34 in 5 pixels, expected 0\.\.2 or 255 \(ignore\)"
    )
    assert report.class_file is not None


def test_colour_labels_among_index_labels(folder, photo, put):
    rgb = np.zeros((6, 8, 3), np.uint8)
    rgb[:3, :, 0] = 128
    put(folder / "labels" / "1.png", rgb)
    assert_unusable(check_dataset(folder), "1 of 4 labels hold colours and 3 class ids")


def test_photos_as_labels(folder, photo, put):
    for i in range(4):
        put(folder / "images" / f"{i}.png", photo(i, 40, 50))
        put(folder / "labels" / f"{i}.png", photo(i, 40, 50))
    assert_unusable(check_dataset(folder), "different values, expected one a class; it is a photo")


def test_a_folder_named_like_an_image(folder):
    (folder / "images" / "1.png").unlink()
    (folder / "images" / "1.png").mkdir()
    assert_unusable(check_dataset(folder), r"images/1\.png: is a folder, expected an image file")


def test_a_link_to_itself(folder):
    (folder / "labels" / "1.png").unlink()
    (folder / "labels" / "1.png").symlink_to("1.png")
    assert_unusable(check_dataset(folder), r"labels/1\.png: .*no such file")


def test_a_broken_link(folder):
    (folder / "images" / "1.png").unlink()
    (folder / "images" / "1.png").symlink_to("/nowhere/1.png")
    assert_unusable(check_dataset(folder), r"images/1\.png: .*no such file")


def test_huge_dimensions(folder):
    header = b"IHDR" + (200_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    chunk = b"\x00\x00\x00\r" + header + zlib.crc32(header).to_bytes(4, "big")
    body = b"IDAT" + bytes(4)
    data = b"\x00\x00\x00\x04" + body + zlib.crc32(body).to_bytes(4, "big")
    (folder / "images" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    match = r"images/1\.png: 40,000,000,000 pixels, expected at most"
    assert_unusable(check_dataset(folder), match)


def test_an_image_of_other_bands(folder):
    (folder / "images" / "1.png").unlink()
    np.save(folder / "images" / "1.npy", np.zeros((6, 8, 5), np.uint8))
    report = check_dataset(folder)
    assert_unusable(report, r"1\.npy: image has 5 bands, expected 3 as the first image has")
    assert report.images == {"3 bands, uint8": 3, "5 bands, uint8": 1}


def test_not_a_number_in_an_image(folder):
    (folder / "images" / "1.png").unlink()
    np.save(folder / "images" / "1.npy", np.full((6, 8, 3), np.nan, np.float32))
    assert_unusable(check_dataset(folder), "holds NaN or infinite pixels")


def test_two_labels_for_one_image(folder, put):
    (folder / "labels" / "1.png").unlink()
    for name in ("1_mask", "1_gt"):
        put(folder / "labels" / f"{name}.png", LABEL)
    assert_unusable(check_dataset(folder), "two labels could belong to one image")


def test_no_pairs_at_all(folder):
    for path in (folder / "labels").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    report = check_dataset(folder)
    assert_unusable(report, "no image has a label: there are no pairs")
    assert (len(report.unpaired_images), len(report.unpaired_labels)) == (4, 4)


def test_unpaired_files_are_told_but_usable(folder, put, photo):
    put(folder / "images" / "more.png", photo())
    report = check_dataset(folder)
    assert report.usable
    assert report.unpaired_images == (str(folder / "images" / "more.png"),)


def test_a_list_that_is_not_utf8(folder):
    (folder / "train.txt").write_bytes(b"caf\xe9\n")
    assert_unusable(check_dataset(folder), r"train\.txt: byte 3 is not UTF-8 text")


def test_a_list_of_missing_files(tmp_path):
    (tmp_path / "train.txt").write_text("x/a.jpg y/a.png\n")
    report = check_dataset(tmp_path / "train.txt")
    assert_unusable(report, r"x/a\.jpg: .*no such file(.|\n)*y/a\.png: .*no such file")


def test_a_broken_class_file(folder):
    (folder / "classes.json").write_text("{")
    assert_unusable(check_dataset(folder), r"classes\.json: the file: Invalid JSON")


def test_labels_that_are_all_ignored(folder, put):
    for i in range(4):
        put(folder / "labels" / f"{i}.png", np.full((6, 8), 255, np.uint8))
    assert_unusable(check_dataset(folder), "every pixel of every label is 255")
    (folder / "classes.txt").write_text("a\nb\n")
    assert_unusable(check_dataset(folder), "no pixel has a class")


def test_ambiguous_values(folder, put):
    put(folder / "labels" / "1.png", np.full((6, 8), 128, np.uint8))
    assert_unusable(check_dataset(folder), "255, which may be ignore or a class; say which")


def test_an_unknown_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    assert_unusable(check_dataset(tmp_path), "no known layout; expected one of")


def test_a_damaged_second_label(tmp_path, put, photo):
    put(tmp_path / "Images" / "a.jpg", photo())
    for folder, value in (("SemanticLabels", 1), ("GeoLabels", 9)):
        (tmp_path / folder).mkdir()
        scipy.io.savemat(tmp_path / folder / "a.mat", {"S": np.full((6, 8), value)})
    report = check_dataset(tmp_path)
    assert_unusable(report, r"GeoLabels/a\.mat: has class id 9 in 48 pixels, expected 1\.\.3 or -1")


def test_the_same_image_in_two_splits(tmp_path, put, photo):
    for split in ("train", "val"):
        put(tmp_path / split / "images" / f"{split}.png", photo(0))
        put(tmp_path / split / "labels" / f"{split}.png", LABEL)
    report = check_dataset(tmp_path)
    assert report.usable
    assert any("1 images are the same in train and val" in w for w in report.warnings)


def test_absent_and_rare_classes_are_warned_of(tmp_path, put, photo):
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    for split in ("train", "val"):
        label = np.zeros((60, 80), np.uint8)
        label[0, 0] = 1
        label[1] = 2 if split == "train" else 0
        put(tmp_path / split / "images" / f"{split}.png", photo(len(split), 60, 80))
        put(tmp_path / split / "labels" / f"{split}.png", label)
    warnings = "\n".join(check_dataset(tmp_path).warnings)
    assert "never present: d" in warnings
    assert "not in val: c" in warnings
    assert "rare, consider class weights: b (0.021%)" in warnings
