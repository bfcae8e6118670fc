"""DataFrames as pandas and its friends make them: indices of several levels, categories, sparse columns."""

import numpy as np
import pandas as pd
import pytest

from ncvqvae import describe, load_series
from ncvqvae.data.series import to_tensors


RANDOM = np.random.default_rng(0)
LOG = pd.DataFrame(
    {
        "id": np.repeat([2, 10], 12),
        "time": np.tile(np.arange(12), 2),
        "x": RANDOM.normal(size=24),
        "y": RANDOM.normal(size=24),
        "label": np.repeat(["run", "walk"], 12),
    }
)
VALUES = LOG[["x", "y"]].to_numpy().reshape(2, 12, 2).swapaxes(1, 2)
LONG = LOG.melt(["id", "time", "label"], var_name="channel")


@pytest.mark.parametrize(
    "table",
    [
        LOG.set_index(["id", "time"]),
        LOG.set_index(["time", "id"]),
        LOG.set_index(["id", "time", "label"]),
        LOG.set_index(["label", "id"]),
        LONG.set_index(["id", "time", "channel"]),
        LONG.set_index("id"),
        LOG.set_index("id", drop=False),
        LOG.convert_dtypes(),
        LOG.assign(id=LOG["id"].astype("category").cat.add_categories([11]), label=LOG["label"].astype("category")),
        LOG.assign(x=LOG["x"].astype(pd.SparseDtype("float", 0.0))),
        LOG.assign(rows=range(24)).rename(columns={"rows": "Row Number"}),
    ],
    ids=[
        "id,time",
        "time,id",
        "id,time,label",
        "label,id",
        "channel",
        "id",
        "kept",
        "nullable",
        "category",
        "sparse",
        "row",
    ],
)
def test_the_levels_of_an_index_are_columns_and_kinds_of_columns_do_not_matter(table):
    found = load_series(table)
    np.testing.assert_allclose(to_tensors(found)[0].numpy(), VALUES, rtol=1e-6)
    assert found["label"][:] == [0, 1] and found.features["label"].names == ["run", "walk"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (LOG.set_index(LOG["id"].add(1)), "the index and a column are both called 'id': leave one out"),
        (LONG.set_index(["id", "time", "channel"]).rename_axis([None] * 3), "levels series and time, found 3 levels"),
        (LOG.assign(x=LOG["time"] + 2**60), "the number 1152921504606846987 is too large for its digits to be kept"),
        (LOG.assign(id=LOG["id"].where(LOG["time"] > 3)), "row 1 has no id in the column 'id'"),
    ],
    ids=["called alike", "no names", "whole numbers", "no id"],
)
def test_what_a_frame_leaves_open_gets_one_line(table, message):
    with pytest.raises(ValueError, match=message):
        load_series(table)


def test_times_beside_samples_are_asked_about_and_an_index_list_is_no_channel():
    wide = pd.DataFrame(RANDOM.normal(size=(6, 12))).add_prefix("t")
    with pytest.raises(ValueError, match=r"rows share values of 'id', and the columns t0, t1, .* add --id-column id"):
        load_series(wide.assign(id=[1, 1, 1, 2, 2, 2], time=[0, 1, 2] * 2))
    nested = pd.DataFrame({"index": [list(range(12))] * 2, "x": VALUES[:, 0].tolist()})
    found = load_series(nested)
    np.testing.assert_allclose(to_tensors(found)[0][:, 0].numpy(), VALUES[:, 0], rtol=1e-6)
    assert "without index: the series are in x" in describe(found)
