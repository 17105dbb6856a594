from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lookwider.ablation import TABLES, Published, find_table
from lookwider.ablation.plan import make_plan
from lookwider.errors import ConfigError

PSPNET = "PSPNet (paper text and tables read in two independent transcriptions)"
MEMORY, SECONDARY = "from memory, NOT verified here", "confirmed by secondary sources"


def numbers(table: str) -> dict[str, Published]:
    return {row.label: row.published for row in TABLES[table].rows}


def pair(published: Published) -> list[float | None]:
    return [published.mean_iou, published.pixel_accuracy]


def test_fcn_numbers_are_the_papers(facts: Callable[[str], Any]) -> None:
    paper = facts("paper_numbers")
    ours = numbers("fcn")
    table = paper["FCN (CVPR 2015 text read)"]["Table2 pixel,mean acc,mean IU,fw IU"]
    for label, (pixel, _, mean_iou, _) in table.items():
        assert pair(ours.pop(label)) == [mean_iou, pixel]
    released = paper["FCN (repository README, PAMI models)"]["seg11valid"]
    assert ours.pop("FCN-8s at once") == Published(released["8s-atonce"], source="release")
    for stage in ("32s", "16s", "8s"):
        assert f"{released[stage]}" in TABLES["fcn"].remarks[2]
    assert all(pair(published) == [None, None] for published in ours.values())


def test_pspnet_numbers_are_the_papers(facts: Callable[[str], Any]) -> None:
    paper = facts("paper_numbers")[PSPNET]
    pooling = {label.replace("ResNet50-", ""): values for label, values in paper["Table1"].items()}
    assert {label: pair(p) for label, p in numbers("pspnet_pooling").items()} == pooling
    assert {label: pair(p) for label, p in numbers("pspnet_aux").items()} == paper[
        "Table2 aux weight"
    ]
    depth = {
        f"PSPNet({label})": values for label, values in paper["Table3"].items() if "MS" not in label
    }
    assert {label: pair(p) for label, p in numbers("pspnet_depth").items()} == depth
    assert all(
        p.source == "paper" for name in TABLES if "psp" in name for p in numbers(name).values()
    )


def test_parsenet_numbers_say_how_sure_they_are(facts: Callable[[str], Any]) -> None:
    paper = facts("paper_numbers")["ParseNet"]
    ours = numbers("parsenet_layers")
    remembered = paper[MEMORY]["PASCAL-Context w/o norm -> with norm"]
    so_far = ""
    for label, values in remembered.items():
        so_far = so_far + label if label.startswith("+") else label
        for kind, value in zip(("plain", "normalised"), values, strict=True):
            published = ours.pop(f"{so_far}, {kind}")
            if kind == "normalised" and label == "+conv3":
                confirmed = "PASCAL-Context, pool6+fc7+conv5+conv4+conv3 normalised"
                assert published == Published(paper[SECONDARY][confirmed], source="secondary")
                assert published.mean_iou == value
            elif isinstance(value, str):
                assert published == Published(source="memory", remark=value)
            else:
                assert published == Published(value, source="memory")
    assert not ours
    fusion = numbers("parsenet_fusion")
    for label, name in (("late fusion", "ParseNet"), ("baseline", "ParseNet baseline")):
        expected = paper[SECONDARY][f"VOC2012 test {name}"]
        assert fusion[label] == Published(expected, source="secondary")


def test_numbers_of_the_systems(facts: Callable[[str], Any]) -> None:
    paper = facts("paper_numbers")
    assert {label: p.mean_iou for label, p in numbers("systems").items()} == {
        "FCN-8s": paper["FCN (CVPR 2015 text read)"]["Table3"]["VOC2012 test"],
        "ParseNet": paper["ParseNet"][SECONDARY]["VOC2012 test ParseNet"],
        "PSPNet": paper[PSPNET]["VOC2012 test"]["VOC only"],
    }
    assert numbers("systems")["ParseNet"].source == "secondary"


def test_published_numbers_are_shown_with_their_marks() -> None:
    assert Published(83, 90.0).shown("pixel_accuracy") == "90.0"
    assert Published(79.52).shown("mean_iou") == "79.52"
    assert Published(36.6, source="memory").shown("mean_iou") == "36.6?"
    assert Published(36.6, source="secondary").shown("mean_iou") == "36.6+"
    assert Published(source="memory", remark="diverged").shown("mean_iou") == "diverged?"
    assert Published(remark="diverged").shown("pixel_accuracy") == "-"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_well_formed_and_fits_the_models(name: str) -> None:
    table = find_table(name)
    assert table.name == name
    assert len({row.folder for row in table.rows}) == len(table.rows)
    labels = [row.label for row in table.rows]
    for position, row in enumerate(table.rows):
        assert row.starts_from is None or row.starts_from in labels[:position]
    plan = make_plan(table, {"data": "scenes"}, seeds=1, out=Path("out"))
    assert len(plan.jobs) == len(table.rows)
    assert len({job.config.model_dump_json(exclude={"out"}) for job in plan.jobs}) == len(labels)


def test_an_unknown_table() -> None:
    with pytest.raises(ConfigError, match=r"unknown table 'pspnet_pool'; did you mean 'pspnet_poo"):
        find_table("pspnet_pool")
