"""What the status page says of another number of threads: sums are rounded otherwise, no more."""

import os
import subprocess

import numpy as np
import pandas as pd
import pytest

from featrack_utils.pipeline import forkserver


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    """Of a language model and a dictionary, trained on one thread and on two."""
    found = {}
    for threads in (1, 2):
        folder = tmp_path_factory.mktemp("threads")
        command = [*forkserver.PYTHON, "-m", "tests.small_trainings", folder]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, timeout=300, env=environment)
        found[threads] = {
            kind: pd.read_csv(folder / kind / "history.csv") for kind in ("model", "dictionary")
        }
    return found


def test_losses_of_a_language_model_stay_within_a_thousandth(histories):
    one, two = (histories[threads]["model"]["loss"] for threads in (1, 2))
    np.testing.assert_allclose(two, one, rtol=1e-3)
    assert one.iloc[-1] < one.iloc[0] - 0.5


def test_what_a_dictionary_explains_stays_within_a_thousandth(histories):
    one, two = (histories[threads]["dictionary"]["variance_explained"] for threads in (1, 2))
    np.testing.assert_allclose(two, one, atol=1e-3)
    assert one.iloc[-1] > one.iloc[0] + 0.1
