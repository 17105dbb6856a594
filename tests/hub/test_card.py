"""The model card: its metadata as the Hub reads it, and its words."""

import json
import os
import shutil

import pytest
from huggingface_hub import ModelCard

from lookwider.errors import LookwiderError
from lookwider.hub.card import model_card
from lookwider.hub.record import read_record, without_folders
from lookwider.hub.upload import hub_files, write_hub_files


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "a")


def card_of(run, **options):
    return model_card(read_record(run), "ann/roads", **options)


def test_the_metadata_reads_as_it_was_meant(run):
    data = ModelCard(card_of(run)).data
    assert data.library_name == "lookwider"
    assert data.license == "unknown"
    assert data.pipeline_tag == "image-segmentation"
    assert data.tags == ["semantic-segmentation", "fcn32s", "test_resnet"]
    assert data.datasets is None
    assert data.model_name == "roads"
    results = {each.metric_type: each for each in data.eval_results}
    assert {name: each.metric_value for name, each in results.items()} == {
        "mean_iou": 0.25,
        "pixel_accuracy": 0.5,
    }
    assert results["mean_iou"].dataset_name == "photos"
    assert results["mean_iou"].dataset_split == "test"


def test_the_licence_that_was_given(run):
    card = card_of(run, licence="mit")
    assert ModelCard(card).data.license == "mit"
    assert "licence is unknown" not in card
    assert "licence is unknown" in card_of(run)


def test_what_it_says(run):
    card = card_of(run)
    assert "| mean IoU | 25.0 |" in card
    assert "| sky | 50.0 | 75.0 | 62.5 |" in card
    assert "2 images, whole, one scale, not flipped; convention fcn, 2 of 3 classes" in card
    assert "| data | photos, train, 12 images |" in card
    assert "These are the weights of step 50." in card
    assert "lookwider predict hf://ann/roads photos" in card
    assert "On test it hardly finds sea &#124; lake." in card
    assert str(run.parent) not in card


def test_the_confusions_of_most_pixels(run):
    lines = card_of(run).splitlines()
    start = lines.index("## Where it fails, test")
    assert lines[start + 4 : start + 7] == [
        "| sea &#124; lake | sky | 100.0 | 75.0 |",
        "| sky | sea &#124; lake | 20.0 | 25.0 |",
        "",
    ]


def test_settings_that_were_not_given_are_not_told(copy):
    record = read_record(copy)
    record.description.protocol["config"] |= {"crop_size": None, "scale": [0.5, 2.0]}
    card = model_card(record, "ann/roads")
    assert "| crop |" not in card
    assert "| scales | 0.5, 2.0 |" in card


def test_class_names_are_no_markup(run):
    card = card_of(run)
    assert "| sea &#124; lake | 0.0 | 0.0 | 37.5 |" in card
    assert "| &lt;b&gt;boat&lt;/b&gt; | - | - | 0.0 |" in card
    assert "<b>" not in card


def test_scores_of_other_weights_are_left_out(copy):
    path = copy / "evaluation" / "test" / "evaluation.json"
    content = json.loads(path.read_text())
    content["protocol"]["sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    card = card_of(copy)
    assert "mean IoU" not in card
    assert "It was not measured on held-out images." in card
    assert ModelCard(card).data.eval_results is None
    assert "confusion-test.png" not in hub_files(copy, "ann/roads")


@pytest.mark.parametrize("content", ["[" * 100_000, "[1]", "no JSON", '{"protocol": 3}'])
def test_results_that_cannot_be_read_are_left_out(copy, content):
    (copy / "evaluation" / "test" / "evaluation.json").write_text(content)
    assert "It was not measured" in card_of(copy)


def test_the_diagnosis_is_told_if_it_is_of_these_weights(copy):
    place = copy / "diagnosis" / "val"
    place.mkdir(parents=True)
    kind = {"title": "confusable categories", "objects": 7, "share_of_errors": 0.125}
    (place / "diagnosis.json").write_text(json.dumps({"kinds": {"confusable": kind}}))
    assert "| confusable categories | 7 | 12.5 |" in card_of(copy)
    os.utime(place / "diagnosis.json", (1, 1))
    assert "confusable categories" not in card_of(copy)


def test_a_checkpoint_alone_has_a_card(copy):
    card = card_of(copy / "best")
    assert "mean IoU | 25.0" in card  # its results lie beside it
    alone = shutil.copytree(copy / "best", copy.parent / "alone")
    assert "It was not measured" in card_of(alone)


def test_a_data_set_of_the_hub_is_named(copy):
    record = read_record(copy)
    record.description.protocol["config"]["data"] = "hf:ann/streets:v2"
    assert ModelCard(model_card(record, "ann/roads")).data.datasets == ["ann/streets"]


def test_the_folders_of_this_machine_stay_here(run):
    files = hub_files(run, "ann/roads")
    assert str(run.parent).encode() not in files["lookwider.json"]
    assert without_folders({"a": ["/x/y", 3], "b": "runs/a"}) == {"a": ["y", 3], "b": "runs/a"}


def test_a_picture_is_shown(run, tmp_path):
    picture = tmp_path / "overlay.JPG"
    picture.write_bytes(b"a picture")
    names = write_hub_files(run, "ann/roads", tmp_path / "out", picture=picture)
    assert "picture.jpg" in names
    assert (tmp_path / "out" / "picture.jpg").read_bytes() == b"a picture"
    assert "(picture.jpg)" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(LookwiderError, match=r"got the picture .*notes.txt, expected a PNG or"):
        hub_files(run, "ann/roads", picture=tmp_path / "notes.txt")
