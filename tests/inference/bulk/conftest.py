import pytest
import torch
from tests.inference.bulk import small

from lookwider.classes import Classes
from lookwider.models import create_model
from lookwider.weights import save


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    torch.manual_seed(0)
    classes = Classes.named(["a", "b", "c"])
    model = create_model("fcn32s", backbone="test_resnet", classes=classes, zero_scores=False)
    return save(model.eval(), tmp_path_factory.mktemp("run") / "best").parent


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Twelve pictures, of which one is damaged."""
    folder = small.pictures(tmp_path_factory.mktemp("pictures") / "in", 12)
    (folder / "broken.png").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def expected(run, folder, tmp_path_factory):
    """What one process writes."""
    return small.one_process(run, folder, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="session")
def slow_folder(tmp_path_factory):
    """Eight pictures, each long enough at work that a process can be killed at one of them."""
    return small.pictures(tmp_path_factory.mktemp("slow") / "in", 8, scale=18)


@pytest.fixture(scope="session")
def slow_expected(run, slow_folder, tmp_path_factory):
    """What one process writes."""
    return small.one_process(run, slow_folder, tmp_path_factory.mktemp("slow_one"))
