import pytest

from lookwider.errors import ConfigError
from lookwider.kernels import switches
from lookwider.kernels.switches import VARIABLE, enabled, numba_enabled, without


@pytest.fixture(autouse=True)
def nothing_left_out(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_all_paths_are_used_unless_left_out():
    assert enabled("labels")
    with without("labels"):
        assert not enabled("labels")
        assert enabled("loss")
        with without("loss"):
            assert not enabled("labels")
            assert not enabled("loss")
    assert enabled("labels")


def test_none_named_is_all():
    with without():
        assert not enabled("heads")
        assert not numba_enabled()


def test_the_environment_leaves_out(monkeypatch):
    monkeypatch.setenv(VARIABLE, "labels, loss")
    assert not enabled("labels")
    assert enabled("heads")
    monkeypatch.setenv(VARIABLE, "all")
    assert not enabled("heads")


def test_unknown_paths_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="fast path"), without("label"):
        pass
    monkeypatch.setenv(VARIABLE, "label")
    with pytest.raises(ConfigError, match="LOOKWIDER_WITHOUT=label: got label, expected all or"):
        enabled("labels")


def test_numba_that_is_not_there_is_not_used(monkeypatch):
    monkeypatch.setattr(switches, "_installed", lambda package: False)
    assert not numba_enabled()
