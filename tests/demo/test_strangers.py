"""The hosted app among strangers: what it serves, what it reads, how long it works, and what it answers."""

import contextlib
import gzip
import io
import json
import math
import time
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch


gradio = pytest.importorskip("gradio", reason="the extra `demo` is not installed")
gradio_client = pytest.importorskip("gradio_client")

from ncvqvae import MaskGITForTimeSeriesGeneration  # noqa: E402
from ncvqvae.demo.app import LAUNCH, build_demo, generate, reconstruct  # noqa: E402
from ncvqvae.demo.limits import within  # noqa: E402
from ncvqvae.demo.uploads import MOST_NUMBERS, check_upload  # noqa: E402


def message(client, **inputs):
    with pytest.raises((gradio_client.exceptions.AppError, ValueError)) as caught:
        client.predict(**inputs)
    said = str(caught.value)
    assert said and "\n" not in said and "Traceback" not in said and "upstream Gradio app" not in said, said
    return said


@pytest.mark.parametrize("endpoint", ["load", "generate", "reconstruct"])
@pytest.mark.parametrize("name", ["{}", "../ncvqvae-gunPoint", "/etc", "org/other", "", 5, None, ["a"], {"a": 1}])
def test_only_what_is_served_may_be_named(client, endpoint, name, checkpoint):
    name = name.format(checkpoint) if isinstance(name, str) else name  # the folder itself is not the visitor's to know
    assert message(client, checkpoint=name, api_name=f"/{endpoint}").startswith("the app serves ")


def test_visitors_choose_among_those_that_are_served(checkpoint, tmp_path, model):
    model.save_pretrained(tmp_path / "second")
    app = build_demo(checkpoint, [str(tmp_path / "second")])
    chosen = next(block for block in app.blocks.values() if isinstance(block, gradio.Dropdown))
    assert chosen.preprocess("second") == str(tmp_path / "second")
    with pytest.raises(ValueError, match="need different names"):
        build_demo(checkpoint, [f"/elsewhere/{checkpoint.rsplit('/')[-1]}"])


NUMBERS = ("num_samples", "num_steps", "temperature", "choice_temperature", "guidance_scale", "seed")
WRONG = ("text", "", True, [1], {"a": 1}, 1e9, 1e300, -1, "nan")


def test_every_wrong_number_gets_a_sentence_and_none_means_the_checkpoints(client, checkpoint):
    cases = [(name, value) for name in NUMBERS for value in WRONG if (name, value) != ("seed", 1e9)]
    cases += [("num_samples", 2.5), ("num_steps", 2.5), ("seed", 2.5), ("num_samples", None), ("seed", None)]
    for name, value in cases:
        said = message(client, **{name: value}, api_name="/generate")
        assert "number from" in said and "found" in said, (name, value, said)
    for name in NUMBERS:
        with pytest.raises(gradio.Error, match="number from"):
            generate(checkpoint, **{name: math.nan})
    some = dict.fromkeys(("num_steps", "temperature", "choice_temperature", "guidance_scale", "label"))
    assert client.predict(num_samples=1, **some, api_name="/generate")[0].startswith("1 series in ")


def test_every_other_wrong_value_gets_a_sentence(client):
    for label in (5, ["up"], {"a": 1}, "x" * 10**5, "sideways", True):
        assert message(client, label=label, api_name="/generate")
    for name in ("file", "text", "label_column", "window", "stride", "missing_value", "channels_last", "day_first"):
        for value in (5, 2.5, 1e9, ["a"], {"a": 1}, "x" * 10**5, True):
            assert message(client, **{name: value}, api_name="/reconstruct")
    assert message(client, text=None, api_name="/reconstruct").startswith("upload a file or paste")


def test_the_null_class_can_be_asked_for(client):
    assert client.predict(label="null", num_samples=2, api_name="/generate")[0].startswith("2 series in ")


def test_each_endpoint_has_its_own_queue(checkpoint):
    functions = {one.api_name: one for one in build_demo(checkpoint).fns.values()}
    queues = {name: functions[name].concurrency_id for name in ("load", "generate", "reconstruct")}
    assert len(set(queues.values())) == 3 and not functions["load"].queue


def npz(path, shape, dtype="<f8"):
    """A file whose head says `shape`, and whose body is zeros, packed."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": False, "shape": shape})
    count = min(math.prod(shape) * np.dtype(dtype).itemsize, 2**27)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("values.npy", head.getvalue() + bytes(count))


def npy(path, shape):
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})


def one_text_many_times(path):
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"label": text, "c0_0": np.zeros(100_000)}), path)


def many_texts(path, line, count):
    with (gzip.open if path.name.endswith("gz") else open)(path, "wb") as file:
        for _ in range(count):
            file.write(line)


BOMBS = {
    "series.npz": lambda path: npz(path, (60_000, 1, 1000)),
    "long.npz": lambda path: npz(path, (1, 1, 2**28)),
    "endless.npz": lambda path: npz(path, (2**20, 2**30)),
    "words.npz": lambda path: npz(path, (1000,), "<U100000"),
    "endless.npy": lambda path: npy(path, (2**20, 2**30)),
    "columns.csv": lambda path: path.write_text(
        ",".join(f"t{i}" for i in range(10**6)) + "\n" + ",".join("1" * 10**6)
    ),
    "rows.csv": lambda path: many_texts(path, b"1," * 40 + b"1\n", 60_000),
    "semicolons.csv": lambda path: path.write_text(";".join("1" * 10**6)),
    "packed.csv.gz": lambda path: many_texts(path, b"0," * 2**19, 200),
    "one_line.txt.gz": lambda path: many_texts(path, b"0" * 2**20, 200),
    "packed.tsv.gz": lambda path: many_texts(path, b"0\n" * 2**19, 200),
    "wide.parquet": lambda path: pd.DataFrame(np.zeros((1, 20_000)), columns=map(str, range(20_000))).to_parquet(path),
    "zeros.parquet": lambda path: pd.DataFrame({"c0_0": np.zeros(10**7)}).to_parquet(path),
    "nested.parquet": lambda path: pq.write_table(pa.table({"values": [[0.0] * 10**6]}), path),
    "texts.parquet": one_text_many_times,
    "series.ts": lambda path: path.write_text("@data\n" + (",".join("1" * 1000) + ":a\n") * 2000),
    "series.arff": lambda path: path.write_text("@data\n" + (",".join("1" * 1000) + ",a\n") * 2000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_of_too_much_is_refused_at_once_without_the_memory_that_it_asks_for(name, checkpoint, tmp_path):
    import resource

    BOMBS[name](tmp_path / name)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(gradio.Error, match="the app reads up to 524,288 numbers of a file, found"):
        reconstruct(checkpoint, str(tmp_path / name))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert time.perf_counter() - start < 60 and grown < 150, (time.perf_counter() - start, grown)


def test_files_within_the_limits_pass_and_damaged_ones_are_said_in_one_line(tmp_path):
    values = np.zeros((MOST_NUMBERS // 64, 64))
    np.savez(tmp_path / "a.npz", values=values, labels=np.array(["a"] * len(values)))
    pd.DataFrame(values[:100], columns=[f"c0_{i}" for i in range(64)]).assign(label="a").to_parquet(
        tmp_path / "a.parquet"
    )
    (tmp_path / "a.csv").write_text("\n".join(",".join("1" * 100) for _ in range(1000)))
    for name in ("a.npz", "a.parquet", "a.csv"):
        check_upload(tmp_path / name)
    for name in ("b.npz", "b.npy", "b.parquet", "b.csv.gz"):
        (tmp_path / name).write_bytes(b"\x1f\x8b not what it should be")
        with pytest.raises(ValueError) as error:
            check_upload(tmp_path / name)
        assert "\n" not in str(error.value)


def test_what_the_app_keeps_of_each_visitor_is_kept_of_the_last_ones_alone(checkpoint):
    app = build_demo(checkpoint)
    _, url, _ = app.launch(**LAUNCH, ssr_mode=False, prevent_thread_lock=True, quiet=True)
    client = gradio_client.Client(url, verbose=False, analytics_enabled=False)
    for visitor in range(60):
        client.session_hash = f"visitor {visitor}"
        client.predict(api_name="/load")
    kept = list(app.state_holder.session_data)
    app.close(verbose=False)
    assert len(kept) == 50 and kept[-1] == "visitor 59"


def test_a_call_that_takes_too_long_is_ended(checkpoint, monkeypatch):
    steps = []

    def endless(*_, **__):
        while True:
            try:
                steps.append(torch.ones(2).sum())
                time.sleep(0.01)
            except Exception:
                steps.append(None)

    monkeypatch.setattr("ncvqvae.demo.handlers.MOST_SECONDS", 0.5)
    monkeypatch.setattr(MaskGITForTimeSeriesGeneration, "generate", endless)
    start = time.perf_counter()
    with pytest.raises(gradio.Error, match=r"this took more than 0\.5 seconds, and was ended"):
        generate(checkpoint)
    assert time.perf_counter() - start < 5 and None not in steps
    number = len(steps)
    time.sleep(0.2)
    assert len(steps) == number  # nothing goes on behind


def test_what_ends_in_time_is_left_alone():
    def busy():
        begin = time.perf_counter()
        while time.perf_counter() - begin < 0.002:
            pass
        return "done"

    for seconds in (0.001, 0.002, 0.003) * 30:
        with contextlib.suppress(TimeoutError):
            assert within(seconds, busy) == "done"
    assert within(60, busy) == "done"
    with pytest.raises(KeyError):
        within(60, lambda: {}["a"])


def test_a_fault_of_the_app_is_a_sentence_too(client, monkeypatch):
    def broken(*_, **__):
        raise KeyError("mine")

    monkeypatch.setattr(MaskGITForTimeSeriesGeneration, "generate", broken)
    assert "the app has a fault (KeyError)" in message(client, api_name="/generate")
    json.dumps(client.predict(api_name="/load"))  # it goes on
