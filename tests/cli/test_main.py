from collections.abc import Callable

import pytest

from lookwider import cli
from lookwider.errors import ConfigError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("got [a], expected b"), 2, "error: got [a], expected b\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (
            PermissionError(13, "Permission denied", "/there/swap.png"),
            2,
            "error: [Errno 13] Permission denied: '/there/swap.png'; is the folder there, "
            "writable, and the disk not full?\n",
        ),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    failing: Callable[[], None] = fail
    monkeypatch.setattr(cli, "app", failing)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == said
