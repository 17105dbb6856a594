"""How the command line ends: its exit code, and what is said of a mistake."""

import json
import os
import subprocess
import sys

import pytest

from lookwider import cli
from lookwider.errors import ConfigError, MissingExtraError

NOT_WRITABLE = PermissionError(13, "Permission denied", "/there/swap.png")


def ended(monkeypatch, *words):
    """Run the command line; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["lookwider", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def raising(error):
    def fail(run):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("got [a], expected b"), 2, "got [a], expected b"),
        (
            MissingExtraError("onnx", "onnx", "export"),
            2,
            "export needs onnx, which is not installed; install it with: pip install "
            "'lookwider[onnx]'",
        ),
        (KeyboardInterrupt(), 130, "stopped"),
        (
            NOT_WRITABLE,
            2,
            "[Errno 13] Permission denied: '/there/swap.png'; is the folder there, writable, and "
            "the disk not full?",
        ),
    ],
)
def test_mistakes_are_told_without_a_traceback(error, code, said, monkeypatch, capsys):
    monkeypatch.setattr("lookwider.weights.verification.verify", raising(error))
    assert ended(monkeypatch, "verify", "runs/a") == code
    assert capsys.readouterr() == ("", f"error: {said}\n" if code == 2 else f"{said}\n")
    assert ended(monkeypatch, "verify", "runs/a", "--json") == code
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"error": said, "exit_code": code}
    assert said in printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "--json"], "Missing argument"),
        (["verify", "runs/a", "--jsn", "--json"], "No such option: --jsn"),
        (["verfy", "--json"], "No such command 'verfy'"),
    ],
)
def test_wrong_usage_is_json_too(words, said, monkeypatch, capsys):
    assert ended(monkeypatch, *words) == 2
    printed = capsys.readouterr()
    assert said in json.loads(printed.out)["error"]
    assert said in printed.err


def test_a_mistake_of_ours_is_json_and_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr("lookwider.weights.verification.verify", raising(TypeError("[a] + 1")))
    monkeypatch.setattr(sys, "argv", ["lookwider", "verify", "runs/a", "--json"])
    with pytest.raises(TypeError):
        cli.main()
    found = json.loads(capsys.readouterr().out)
    assert found == {"error": "TypeError: [a] + 1", "exit_code": 1}


def test_there_is_one_object_also_when_the_end_goes_wrong(monkeypatch, capsys):
    def end_badly(run):
        cli.out.print('{"good": true}', markup=False)
        raise NOT_WRITABLE

    monkeypatch.setattr("lookwider.weights.verification.verify", end_badly)
    assert ended(monkeypatch, "verify", "runs/a", "--json") == 2
    assert json.loads(capsys.readouterr().out) == {"good": True}


def test_colons_and_brackets_stay_what_they_are(capsys):
    cli.out.print('{"data": "a:car:b [red]"}', markup=False)
    cli.messages.print("a:car:b", markup=False)
    assert capsys.readouterr() == ('{"data": "a:car:b [red]"}\n', "a:car:b\n")


def test_nobody_reads():
    """As in ``lookwider | true``: no traceback."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "lookwider"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
