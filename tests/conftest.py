"""What all tests share: the helpers in ``checks``, the data folder, and how hard Hypothesis tries."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # the workers keep all cores busy; BLAS threads of each would only wait for one another
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))  # so that every test can `import checks`
pytest.register_assert_rewrite("checks")

# The same examples on every machine and every run; HYPOTHESIS_PROFILE=thorough looks for new ones.
settings.register_profile("default", derandomize=True, deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real checkpoints and data sets, which is not part of the project."""
    place = os.environ.get("REFCOMPRESS_DATA")
    folder = Path(place) if place else TESTS.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data: set REFCOMPRESS_DATA to its folder")
    return folder
