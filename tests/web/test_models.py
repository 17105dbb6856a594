"""Networks are found by a folder, named by what tells them apart, and loaded when used."""

import json
import shutil

import numpy as np
import pytest
from tests.web.served import CLASSES, picture

from lookwider import load
from lookwider.errors import CheckpointError, ConfigError
from lookwider.web.models import ServedModels


def test_a_folder_of_runs_a_run_and_a_checkpoint(runs):
    assert list(ServedModels.open(runs, "cpu")) == ["plain", "wide"]
    assert list(ServedModels.open(runs.parent, "cpu")) == ["plain", "wide"]
    for path in (runs / "wide", runs / "wide" / "best"):
        models = ServedModels.open(path, "cpu")
        assert list(models) == ["wide"]
        assert models.default is models["wide"]


def test_names_are_of_all_folders_that_differ(runs, tmp_path):
    for name in ("a/seed0", "a/seed1", "b/seed0"):
        shutil.copytree(runs / "plain", tmp_path / "x" / name)
    shutil.copytree(runs / "plain", tmp_path / "x" / ".a.new")
    assert list(ServedModels.open(tmp_path, "cpu")) == ["a-seed0", "a-seed1", "b-seed0"]
    shutil.copytree(runs / "plain", tmp_path / "x" / "a-seed0")
    with pytest.raises(ConfigError, match=r"two runs that are both called 'a-seed0'; rename one"):
        ServedModels.open(tmp_path, "cpu")


def test_what_is_known_without_loading(runs):
    models = ServedModels.open(runs, "cpu")
    found = models["wide"].information
    assert (found.architecture, found.backbone) == ("pspnet", "test_resnet")
    assert found.classes == CLASSES
    assert found.in_channels == 3
    assert found.scores == {"split": "val", "val_mean_iou": 0.5}
    assert found.options["hidden"] == 16
    assert found.parameters == sum(
        tensor.numel() for tensor in load(runs / "wide").state_dict().values()
    )
    assert not models["wide"].loaded


def test_the_plain_and_the_fast_network_are_loaded_once(runs):
    served = ServedModels.open(runs / "wide", "cpu").default
    plain, fast = served.plain(), served.fast()
    assert served.loaded
    assert served.plain() is plain
    assert served.fast() is fast
    assert fast.compiled is not None
    assert plain.compiled is None
    image = picture(40, 52)
    np.testing.assert_array_equal(plain.predict(image).labels, fast.predict(image).labels)


def test_damaged_checkpoints_are_named_and_the_others_served(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs" / "plain" / "best" / "lookwider.json").write_text("{")
    models = ServedModels.open(tmp_path / "runs", "cpu")
    assert list(models) == ["wide"]
    assert "not valid JSON" in models.refused["plain"]
    with pytest.raises(CheckpointError, match="not valid JSON"):
        ServedModels.open(tmp_path / "runs" / "plain", "cpu")


def test_folders_without_a_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        ServedModels.open(tmp_path / "none", "cpu")
    with pytest.raises(CheckpointError, match=r"holds no lookwider\.json"):
        ServedModels.open(tmp_path, "cpu")


def test_unknown_names_list_the_known(runs):
    models = ServedModels.open(runs, "cpu")
    with pytest.raises(ConfigError, match=r"unknown model 'wid'; did you mean 'wide'\? known:"):
        models["wid"]
    assert "wid" not in models
    with pytest.raises(ConfigError, match="got no model, expected at least one"):
        ServedModels([])
    with pytest.raises(ConfigError, match="both called 'plain'"):
        ServedModels([models["plain"], models["plain"]])


def test_the_service_tells_them(server):
    found = server.client.get("/v1/models").json()
    assert found["default"] == "plain"
    assert [one["name"] for one in found["models"]] == ["plain", "wide"]
    one = server.client.get("/v1/models/wide").json()
    assert one == found["models"][1]
    assert one["classes"][0] == {"id": 0, "name": "sky", "colour": one["classes"][0]["colour"]}
    assert json.dumps(one).count("/") == 0  # no path of this machine
    missing = server.client.get("/v1/models/none")
    assert missing.status_code == 404
    assert missing.json()["expected"] == "one of plain, wide"
