import pytest

from lookwider.errors import ConfigError
from lookwider.kernels import switches
from lookwider.kernels.switches import VARIABLE, enabled, numba_enabled, triton_enabled, without


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
        assert not triton_enabled()


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


def test_compilers_that_are_not_there_are_not_used(monkeypatch):
    monkeypatch.setattr(switches, "_builds_launchers", lambda: True)
    monkeypatch.setattr(switches, "_installed", lambda package: package != "numba")
    assert not numba_enabled()
    assert triton_enabled()
    monkeypatch.setattr(switches, "_installed", lambda package: package != "triton")
    assert numba_enabled()
    assert not triton_enabled()


def test_triton_needs_a_c_compiler_and_headers(monkeypatch, tmp_path):
    builds = switches._builds_launchers.__wrapped__
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setattr(switches.sysconfig, "get_path", lambda name: str(tmp_path))
    assert not builds()
    (tmp_path / "Python.h").touch()
    assert builds()
    monkeypatch.delenv("CC")
    monkeypatch.setattr(switches.shutil, "which", lambda name: None)
    assert not builds()
    monkeypatch.setattr(switches, "_installed", lambda package: True)
    monkeypatch.setattr(switches, "_builds_launchers", lambda: False)
    assert not triton_enabled()
