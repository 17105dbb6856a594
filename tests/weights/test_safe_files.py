"""Folders that are whole at every moment, and files that are not trusted."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from lookwider.errors import CheckpointError
from lookwider.weights import safe_files
from lookwider.weights.safe_files import atomic_folder, existing_folder, parse_json, plain_file


def fill(folder, text):
    with atomic_folder(folder) as new:
        (new / "a").write_text(text)


def test_a_folder_is_made_and_replaced(tmp_path):
    fill(tmp_path / "x" / "target", "one")
    fill(tmp_path / "x" / "target", "two")
    assert (tmp_path / "x" / "target" / "a").read_text() == "two"
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["target"]


def test_an_error_leaves_the_target_as_it_was(tmp_path):
    fill(tmp_path / "target", "one")
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "target") as new:
        (new / "nowhere" / "a").write_text("half")
    assert (tmp_path / "target" / "a").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def replace_until_killed(target, steps):
    """Replace a folder in this process, which kills itself before file operation ``steps``."""

    def dying(original):
        def call(*arguments, **keywords):
            nonlocal steps
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **keywords)

        return call

    os.fsync, shutil.rmtree = dying(os.fsync), dying(shutil.rmtree)
    Path.replace, Path.mkdir = dying(Path.replace), dying(Path.mkdir)
    fill(target, "new")
    os._exit(0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_at_any_step_a_whole_folder_is_found_and_the_next_one_replaces_it(tmp_path):
    for steps in range(20):
        target = tmp_path / str(steps) / "target"
        fill(target, "old")
        child = os.fork()
        if child == 0:
            replace_until_killed(target, steps)
        _, status = os.waitpid(child, 0)
        assert (existing_folder(target) / "a").read_text() in {"old", "new"}
        fill(target, "next")
        assert (target / "a").read_text() == "next"
        assert [path.name for path in target.parent.iterdir()] == ["target"]
        if status == 0:
            return
    raise AssertionError("the last step was not reached")


def test_each_rename_cut_off_leaves_a_whole_folder(tmp_path, monkeypatch):
    target = tmp_path / "target"
    rename = type(target).replace
    for cut in range(2):
        fill(target, "old")
        renames = []

        def replace(path, other, cut=cut, renames=renames):
            renames.append(other)
            if len(renames) > cut:
                raise SystemError("cut")
            return rename(path, other)

        with monkeypatch.context() as patch:
            patch.setattr(type(target), "replace", replace)
            with pytest.raises(SystemError):
                fill(target, "new")
        assert (existing_folder(target) / "a").read_text() == "old"
        fill(target, "next")
        assert (target / "a").read_text() == "next"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\\b", "c:x", "a\0"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match="expected a plain name"):
        plain_file(tmp_path, name)


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert plain_file(tmp_path, "real") == tmp_path / "real"
    for name in ("link", "folder", "pipe"):
        with pytest.raises(CheckpointError, match="expected a regular file"):
            plain_file(tmp_path, name)
    with pytest.raises(CheckpointError, match="missing; a checkpoint folder is complete"):
        plain_file(tmp_path, "nothing")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON"),
        (b"[1]", "got a list, expected a JSON object"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1, "a": 2}', "names one key twice"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": ' + b"[" * 200_000, "nested deeper than 32"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_hostile_json_is_refused(tmp_path, data, message):
    with pytest.raises(CheckpointError, match=message):
        parse_json(data, tmp_path)


def test_long_json_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_files, "MAX_JSON_BYTES", 10)
    with pytest.raises(CheckpointError, match="11 bytes, expected at most 10"):
        parse_json(b" " * 11, tmp_path)
