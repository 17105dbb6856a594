import json
from pathlib import Path

import numpy as np
import pytest
from tests.ablation import tiny

from lookwider.ablation import find_table, plan
from lookwider.ablation.plan import check_plan, deepest_maps, make_plan
from lookwider.data import Sample
from lookwider.errors import ConfigError


def test_rows_share_all_but_what_they_vary(tmp_path: Path) -> None:
    made = make_plan(find_table("fcn"), {"data": "scenes", "steps": "7"}, seeds=2, out=tmp_path)
    assert [job.seed for job in made.jobs] == [0] * 8 + [1] * 8
    first = made.jobs[0].config
    assert (first.steps, first.optimizer, first.crop_size) == (7, "adamw", None)
    varied = {"model", "model_options", "freeze_trunk", "base_lr", "init_from", "out", "seed"}
    shared = [job.config.model_dump(exclude=varied) for job in made.jobs]
    assert all(config == shared[0] for config in shared)
    by_name = {job.name: job.config for job in made.jobs}
    fixed, fine = by_name["FCN-32s-fixed, seed 1"], by_name["FCN-16s, seed 1"]
    assert fixed.freeze_trunk
    assert not fine.freeze_trunk
    assert fine.init_from == tmp_path / "fcn-32s" / "seed1" == by_name["FCN-32s, seed 1"].out
    assert fine.base_lr == pytest.approx(0.25 * first.base_lr)
    assert by_name["FCN-8s at once, interpolation, seed 0"].model_options == {
        "upsampling": "interpolation"
    }


def test_other_data_take_the_recipes_settings(tmp_path: Path) -> None:
    made = make_plan(find_table("systems"), {"data": "photos", "epochs": "2"}, out=tmp_path)
    config = made.jobs[0].config
    assert (config.optimizer, config.crop_size, config.steps) == ("sgd", (320, 320), None)
    assert config.epochs == 2
    assert not made.on_scenes
    epochs = make_plan(find_table("systems"), {"data": "scenes", "epochs": "2"}, out=tmp_path)
    assert (epochs.jobs[0].config.steps, epochs.on_scenes) == (None, True)


def test_local_layers_by_depth_of_the_trunk(tmp_path: Path) -> None:
    for backbone, layers in (
        ("vgg16_largefov", ["conv4_3", "conv5_3", "fc7"]),
        ("resnet18", ["layer2", "layer3", "layer4"]),
    ):
        made = make_plan(find_table("parsenet_layers"), {"backbone": backbone}, out=tmp_path)
        configs = {job.row.label: job.config for job in made.jobs}
        assert configs["pool6+fc7+conv5+conv4, plain"].model_options == {
            "layers": layers,
            "normalise": False,
        }
        assert configs["fc7, normalised"].model_options["context_layers"] == []
    with pytest.raises(ConfigError, match=r"scores 6 maps of the trunk, and resnet18 has 5: "):
        deepest_maps("resnet18", 6)


@pytest.mark.parametrize(
    ("table", "setting", "message"),
    [
        ("fcn", "upsampling", r"upsampling= is what the rows of fcn differ in; leave it out"),
        ("fcn", "model", "model= is what the rows of fcn differ in"),
        ("fcn", "init_from", "init_from= is what the rows of fcn differ in"),
        ("parsenet_layers", "layers", "layers= is what the rows of parsenet_layers differ in"),
        ("pspnet_aux", "aux_weight", "aux_weight= is what the rows"),
        ("pspnet_depth", "backbone", "backbone= is what the rows"),
        ("fcn", "seed", r"seed= is not for a table: seeds=N trains every row"),
        ("fcn", "out", r"out= is not for a table: give --out DIR"),
        ("fcn", "resume", r"resume= is not for a table: a stopped table always goes on"),
        ("fcn", "devices", r"devices= is not for a table: .* --jobs N trains N rows at once"),
        ("fcn", "bacbone", "unknown setting 'bacbone'; did you mean 'backbone'"),
        ("systems", "bins", "unknown setting 'bins'"),
    ],
)
def test_settings_that_are_not_for_a_table(table: str, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plan(find_table(table), {setting: "2"}, out=Path("out"))


def test_no_seed() -> None:
    with pytest.raises(ConfigError, match="got seeds=0, expected at least 1"):
        make_plan(find_table("fcn"), {}, seeds=0, out=Path("out"))


def test_folders_that_are_not_the_tables(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no table; choose another --out"):
        check_plan(tiny.plan(tmp_path))
    with pytest.raises(ConfigError, match="holds no table; choose another --out"):
        check_plan(tiny.plan(tmp_path / "thesis.txt"))
    marker = tmp_path / "ablation.json"
    marker.write_text(json.dumps({"table": {"name": "fcn"}}))
    with pytest.raises(ConfigError, match="holds the table 'fcn'; choose another --out"):
        check_plan(tiny.plan(tmp_path))
    marker.write_text("{")
    with pytest.raises(ConfigError, match=r"ablation.json: cannot be read .* remove it"):
        check_plan(tiny.plan(tmp_path))


def test_other_settings_than_those_of_a_run(tmp_path: Path) -> None:
    made = tiny.plan(tmp_path)
    (tmp_path / "ablation.json").write_text(json.dumps({"table": {"name": "tiny"}}))
    run = made.jobs[1].config
    run.out.mkdir(parents=True)
    (run.out / "config.json").write_text(run.model_dump_json(exclude={"resume"}))
    check_plan(made)
    check_plan(tiny.plan(tmp_path, seeds=3, workers="1"))
    with pytest.raises(
        ConfigError, match=r"seed0: was trained with other settings \(steps: 2 -> 3"
    ):
        check_plan(tiny.plan(tmp_path, steps="3"))


def test_the_same_folder_by_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    starts = {each.jobs[1].config.init_from for each in map(tiny.plan, (Path("a"), tmp_path / "a"))}
    assert starts == {tmp_path / "a" / "coarse" / "seed0"}


def test_a_split_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    monkeypatch.setattr(plan, "open_dataset", lambda *_, **__: [Sample(image, None, "a")])
    with pytest.raises(ConfigError, match=r"split 'test' of scenes:.* has no labels.*test_split="):
        check_plan(tiny.plan(tmp_path))


def test_no_row_can_be_built(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="test_resnet cannot be dilated"):
        check_plan(
            make_plan(
                find_table("parsenet_fusion"),
                {"backbone": "test_resnet"},
                seeds=1,
                out=tmp_path / "a",
            )
        )
    # FCN-8s can be built of it, the others fail in their turn
    mixed = make_plan(
        find_table("systems"), {"backbone": "test_resnet"}, seeds=1, out=tmp_path / "b"
    )
    check_plan(mixed)
