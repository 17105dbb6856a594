"""Two tiny runs, and a server of them."""

import pytest
from tests.web.served import running, save_runs

from lookwider.web import batching
from lookwider.web.models import ServedModels


@pytest.fixture(scope="session", autouse=True)
def unmeasured():
    """Spare the measuring of memory, which takes longer than the tests of tiny networks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "pixels_at_once", lambda model, memory: 2_000_000)
        yield


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    return save_runs(tmp_path_factory.mktemp("work") / "runs")


@pytest.fixture(scope="module")
def models(runs):
    return ServedModels.open(runs, device="cpu")


@pytest.fixture(scope="module")
def server(models):
    with running(models) as found:
        yield found
