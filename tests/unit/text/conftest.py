"""A data folder that is made once, and copies of it to damage."""

import shutil

import pytest

from _shards import write_data


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The folder and the documents in it, by language; not to be changed."""
    out = tmp_path_factory.mktemp("shards") / "data"
    return out, write_data(out)


@pytest.fixture
def data(written, tmp_path):
    """A copy of the folder."""
    return shutil.copytree(written[0], tmp_path / "data")
