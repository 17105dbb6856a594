"""What is found about an installation, on machines made up and on this one."""

import importlib
from importlib import metadata

import pytest
import torch

from lookwider.environment import check, libraries, machine, speed
from lookwider.environment.libraries import FOR_DEVELOPERS, PURPOSES, library_findings
from lookwider.environment.limits import Limits, read_limits
from lookwider.environment.speed import Speed, measure_speed, speed_findings
from lookwider.errors import ConfigError

CPU = torch.device("cpu")
GIB = 2**30


def limits(**changes):
    given = {"cores": 8, "machine_cores": 16, "quota": None, "memory": 32 * GIB}
    return Limits(**(given | {"free_memory": 30 * GIB} | changes))


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.fixture
def meminfo(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:  8388608 kB\nMemAvailable: 4194304 kB\nHugePages_Total: 0\n")
    return path


def test_limits_of_the_newer_control_groups(tmp_path, meminfo):
    own = tmp_path / "own"
    own.write_text("0::/pod/job\n")
    write(tmp_path / "groups" / "pod", cpu__max="150000 100000\n", memory__max=f"{2 * GIB}\n")
    write(tmp_path / "groups" / "pod", memory__current=f"{GIB}\n")
    write(tmp_path / "groups" / "pod" / "job", cpu__max="max 100000\n", memory__max="max\n")
    found = read_limits(tmp_path / "groups", own, meminfo)
    assert (found.quota, found.memory, found.free_memory) == (1.5, 2 * GIB, GIB)
    assert found.useful_threads == 1


def test_limits_of_the_older_control_groups(tmp_path, meminfo):
    own = tmp_path / "own"
    own.write_text("4:memory:/job\n1:cpu,cpuacct:/\n0::/\n")
    cpu = tmp_path / "groups" / "cpu"
    write(cpu, cpu__cfs_quota_us="300000", cpu__cfs_period_us="100000")
    write(tmp_path / "groups" / "memory" / "job", memory__limit_in_bytes=str(3 * GIB))
    write(tmp_path / "groups" / "memory", memory__limit_in_bytes="9223372036854771712")
    found = read_limits(tmp_path / "groups", own, meminfo)
    assert (found.memory, found.free_memory) == (3 * GIB, 3 * GIB)
    assert found.quota == 3
    write(cpu, cpu__cfs_quota_us="-1")
    assert read_limits(tmp_path / "groups", own, meminfo).quota is None


def test_a_system_that_tells_nothing(tmp_path):
    found = read_limits(tmp_path, tmp_path / "none", tmp_path / "none")
    assert (found.quota, found.memory, found.free_memory) == (None, None, None)
    assert found.useful_threads == found.cores >= 1
    assert machine.memory_finding(found).found.startswith("not told by")


def test_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = torch.get_num_threads()
    fitting = machine.thread_finding(limits(cores=threads))
    assert (fitting.state, fitting.advice) == ("good", "")
    assert f"{threads} of 16 processors, {threads} threads" in fitting.found
    crowded = machine.thread_finding(limits(quota=0.5, cores=64))
    if threads > 1:
        assert crowded.advice.endswith("export OMP_NUM_THREADS=1")
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    idle = machine.thread_finding(limits(cores=threads + 1))
    assert idle.advice.startswith(f"OMP_NUM_THREADS={threads} leaves some idle")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert machine.thread_finding(limits()).advice.endswith("export OMP_NUM_THREADS=8")


def test_little_memory_and_disk(tmp_path, monkeypatch):
    assert machine.memory_finding(limits()).state == "good"
    little = machine.memory_finding(limits(memory=3 * GIB, free_memory=2 * GIB))
    assert little.found == "3.0 GiB, 2.0 GiB of it free"
    assert "--max-memory" in little.advice
    assert machine.disk_finding(tmp_path).found.endswith(f"free in {tmp_path}")
    monkeypatch.setattr(machine, "LITTLE_DISK", 2**60)
    assert "up to three checkpoints" in machine.disk_finding(tmp_path).advice
    monkeypatch.setattr(machine.os, "access", lambda folder, mode: False)
    assert machine.disk_finding(tmp_path).advice == "give out= of another folder"


def test_devices(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert machine.device_finding().found.startswith("no GPU")
    monkeypatch.setattr(machine, "DRIVER", tmp_path)
    assert "does not see" in machine.device_finding().found
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert "MPS is not tested" in machine.device_finding().advice


def test_allocators(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2")
    assert machine.allocator_finding().found == "libjemalloc.so.2, preloaded"
    monkeypatch.delenv("LD_PRELOAD")
    monkeypatch.setattr(machine, "glibc", lambda name, value: False)
    assert "may stay with Python" in machine.allocator_finding().found


def test_every_extra_has_a_purpose():
    extras = metadata.metadata("lookwider").get_all("Provides-Extra")
    assert set(extras) <= PURPOSES.keys() | FOR_DEVELOPERS


def test_missing_and_old_libraries(monkeypatch):
    needs = ["rich>=13", "numpy>=999", "nothing-of-that-name>=1; extra == 'geo'", "torch"]
    monkeypatch.setattr(libraries.metadata, "requires", lambda name: needs)
    found = {finding.name: finding for finding in library_findings()}
    assert found["libraries"].state == "broken"
    assert found["libraries"].found == f"numpy is {metadata.version('numpy')}, expected >=999"
    assert found["extra geo"].state == "note"
    assert found["extra geo"].found == "nothing-of-that-name is not installed"
    assert found["extra geo"].advice.endswith("pip install 'lookwider[geo]'")


def test_a_network_agrees_and_is_timed():
    found = measure_speed(CPU)
    assert found.difference < 1e-4
    assert found.forward > 0
    assert found.bfloat16 > 0


def test_what_a_measurement_means():
    network, bfloat16 = speed_findings(Speed(0.0125, 1e-6, 4.0), CPU)
    assert network.found == (
        "pspnet on resnet18, 96 x 128: 12.5 ms on cpu; 1e-06 from plain PyTorch"
    )
    assert "--dtype bfloat16" in bfloat16.advice
    assert speed_findings(Speed(0.1, 1e-6, 0.5), CPU)[1].found.startswith("0.5 times as fast")
    for difference in (0.5, float("nan")):
        assert speed_findings(Speed(0.1, difference, 1.0), CPU)[0].state == "broken"


def test_a_network_that_cannot_be_run_is_a_finding(monkeypatch, tmp_path):
    def fail(device):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(check, "measure_speed", fail)
    found = check.check_environment(tmp_path)
    assert not found.good
    assert found.findings[-1].found == "failed with RuntimeError: no kernel image is available"
    assert found.to_json()["speed"] is None


def test_without_numba(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    assert check._compiled_loops().advice.endswith("pip install numba")


def test_a_device_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="unknown device 'tpu7'"):
        check.check_environment(tmp_path, "tpu7")
    assert speed.SIZE == (96, 128)
