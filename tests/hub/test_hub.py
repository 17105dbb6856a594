"""Up to a Hub and down again, through huggingface_hub itself."""

import json
import shutil

import huggingface_hub.constants
import pytest
import torch
from tests.weights.saved_models import same
from typer.testing import CliRunner

import lookwider as lw
from lookwider.bench.network import network_to_measure
from lookwider.cli import app
from lookwider.errors import CheckpointError, LookwiderError
from lookwider.hub.upload import hub_files
from lookwider.weights.hub_files import fetch, hub_address
from lookwider.weights.verification import verify


def offline(monkeypatch):
    """Let nothing answer where the Hub was."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    fetch.cache_clear()


def test_a_run_goes_up_and_comes_down_the_same(hub, run):
    pushed = lw.push_to_hub(run, "ann/roads")
    assert pushed.url == f"{hub.url}/ann/roads"
    assert pushed.commit == hub.commit("ann/roads")
    expected = {"README.md", "lookwider.json", "model.safetensors", "confusion-test.png"}
    assert set(pushed.files) == set(hub.repos["ann/roads"]) == expected
    assert "ann/roads" not in hub.private
    first = lw.load(run)
    for name in ("ann/roads", "hf://ann/roads", f"hf://ann/roads@{pushed.commit}"):
        assert same(lw.from_pretrained(name), first)
    assert same(lw.from_pretrained("ann/roads", revision=pushed.commit), first)
    assert verify("hf://ann/roads").worst == 0


def test_only_the_two_files_are_fetched(hub, run):
    lw.push_to_hub(run, "ann/roads")
    hub.repos["ann/roads"]["pytorch_model.bin"] = b"a pickle"
    hub.asked.clear()
    lw.load("hf://ann/roads")
    fetched = {line.rpartition("/")[2] for line in hub.asked if "/resolve/" in line}
    assert fetched == {"lookwider.json", "model.safetensors"}


def test_what_the_cache_holds_needs_no_network(hub, run, monkeypatch):
    lw.push_to_hub(run, "ann/roads")
    commit = hub.commit("ann/roads")
    lw.load("hf://ann/roads")
    offline(monkeypatch)
    assert same(lw.load("hf://ann/roads"), lw.load(run))
    assert same(lw.load(f"hf://ann/roads@{commit}"), lw.load(run))
    with pytest.raises(CheckpointError, match=r"hf://ann/sea: cannot be reached .*not complete in"):
        lw.load("hf://ann/sea")


def test_a_commit_in_the_cache_is_not_asked_for_again(hub, run):
    lw.push_to_hub(run, "ann/roads")
    address = f"hf://ann/roads@{hub.commit('ann/roads')}"
    lw.load(address)
    fetch.cache_clear()
    hub.asked.clear()
    lw.load(address)
    assert hub.asked == []


def test_a_command_sees_one_revision(hub, run):
    lw.push_to_hub(run, "ann/roads")
    first = fetch(hub_address("hf://ann/roads"))
    hub.repos["ann/roads"]["notes.md"] = b"a newer commit"
    assert fetch(hub_address("hf://ann/roads")) == first
    fetch.cache_clear()
    assert fetch(hub_address("hf://ann/roads")).name == hub.commit("ann/roads") != first.name


def test_a_private_model(hub, run, monkeypatch):
    lw.push_to_hub(run, "ann/roads", private=True)
    assert hub.private == {"ann/roads"}
    assert same(lw.load("hf://ann/roads"), lw.load(run))
    fetch.cache_clear()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(CheckpointError, match=r"no such model, or a private one.*hf auth login"):
        lw.load("hf://ann/roads")


def test_an_unknown_revision(hub, run):
    lw.push_to_hub(run, "ann/roads")
    with pytest.raises(CheckpointError, match="has no branch, tag or commit 'v9'"):
        lw.load("hf://ann/roads@v9")


@pytest.mark.parametrize("text", ["hf://roads", "hf://ann/roads/best", "hf://../x", "hf:/a/b@"])
def test_an_address_that_is_none(text):
    with pytest.raises(CheckpointError, match=r"expected hf://OWNER/NAME or"):
        lw.load(text)


@pytest.mark.parametrize("repo", ["roads", "ann/roads@v1", "/ann/roads", "ann/roads/x", ""])
def test_a_repository_that_is_none(run, repo):
    with pytest.raises(LookwiderError, match="expected"):
        hub_files(run, repo)


def test_without_a_token_nothing_is_uploaded(hub, run, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        LookwiderError, match=r"does not let this account write there .*log in with: hf auth login"
    ):
        lw.push_to_hub(run, "ann/roads")
    assert hub.repos == {}


def test_without_a_network_nothing_is_uploaded(hub, run, monkeypatch):
    offline(monkeypatch)
    with pytest.raises(LookwiderError, match=r"ann/roads: not uploaded: .*--out DIR"):
        lw.push_to_hub(run, "ann/roads")


def test_a_damaged_run_is_not_uploaded(hub, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    with (copy / "best" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        lw.push_to_hub(copy, "ann/roads")
    assert hub.repos == {}


def test_every_command_takes_a_model_of_the_hub(hub, run, tmp_path, monkeypatch):
    lw.push_to_hub(run, "ann/roads")
    monkeypatch.chdir(tmp_path)
    data = "data=scenes:count=2,size=33x44"
    address = "hf://ann/roads"
    call = CliRunner().invoke
    image = ["scene:0,size=33x44", "--json"]
    assert call(app, ["probe", "scales", address, *image]).exit_code == 0
    assert (tmp_path / "hub" / "ann" / "roads" / "probes" / "scales").is_dir()
    assert call(app, ["verify", address, "--json"]).exit_code == 0
    assert same(network_to_measure(address, device=torch.device("cpu")), lw.load(run))
    wrong = call(app, ["evaluate", address, data])
    assert "the model has 3" in str(wrong.exception)  # it came as far as comparing the classes


def test_the_command(hub, run, tmp_path):
    words = ["push", str(run), "ann/roads", "--license", "mit"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert f"to {hub.url}/ann/roads" in result.stdout
    assert "next: lookwider predict hf://ann/roads FILES_OR_FOLDER --out DIR" in result.stderr
    assert "license: mit" in hub.repos["ann/roads"]["README.md"].decode()
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert found["commit"] == hub.commit("ann/roads")
    hub.asked.clear()
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "card")])
    assert "written, not uploaded: lookwider.json, model.safetensors" in result.stdout
    assert hub.asked == []
    assert same(lw.load(tmp_path / "card"), lw.load(run))
    assert torch.equal(*(lw.load(p)(torch.ones(1, 3, 9, 9)) for p in (tmp_path / "card", run)))
