"""Files that are whole or not there, errors in one line, the rank of a process."""

import os
import signal
import threading

import pytest
from huggingface_hub.errors import StrictDataclassError

from helpers.processes import in_a_fresh_process
from ncvqvae import NCVQVAEConfig
from ncvqvae.runtime import (
    deferred_interrupt,
    derived_seed,
    first_line,
    is_first_process,
    one_line,
    print_failure,
    user_errors,
    whole_file,
)


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path):
    file = tmp_path / "metrics.csv"
    with whole_file(file) as partial:
        partial.write_text("half")
        assert not file.exists() and partial.parent == tmp_path and partial.suffix == ".csv"
        partial.write_text("whole")
    assert file.read_text() == "whole" and os.listdir(tmp_path) == ["metrics.csv"]


def test_a_file_that_fails_half_way_leaves_the_one_before_and_nothing_else(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("before")
    for failure in (OSError("no space left"), KeyboardInterrupt()):
        with pytest.raises(type(failure)), whole_file(str(file)) as partial:
            partial.write_text("half")
            raise failure
    with pytest.raises(FileNotFoundError), whole_file(file):
        pass  # nothing was written
    assert file.read_text() == "before" and os.listdir(tmp_path) == ["metrics.csv"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\n  two\tthree "), "one two three"),
        (ValueError(""), "ValueError"),
        (KeyError("x"), "'x'"),
        (FileNotFoundError(2, "No such file", "a.csv"), "[Errno 2] No such file: 'a.csv'"),
    ],
)
def test_an_error_in_one_line(error, line):
    assert one_line(error) == line


def test_the_first_line_of_an_error_is_that_of_its_reason():
    assert first_line(RuntimeError("\n\n  CUDA error: busy  \nCUDA kernel errors might ...")) == "CUDA error: busy"
    assert first_line(RuntimeError(" \n")) == "RuntimeError"
    with pytest.raises(StrictDataclassError) as refused:
        NCVQVAEConfig(n_fft=6)
    assert "n_fft must be a multiple of 4, found 6" in first_line(refused.value)
    assert len(str(refused.value).splitlines()) > 1


def test_what_a_user_can_put_right_is_told_from_mistakes_of_ours():
    for error in (ValueError(), FileNotFoundError(), FloatingPointError(), RuntimeError()):
        assert isinstance(error, user_errors())
    for error in (TypeError(), KeyError(), IndexError(), AttributeError(), AssertionError()):
        assert not isinstance(error, user_errors())


def test_a_derived_seed_is_one_for_each_combination_and_the_same_everywhere():
    parts = [(0, "tokenizer"), (0, "prior"), (1, "prior"), ("0", "prior"), (0, "prior", 0), (0, ("prior", 0))]
    assert len({derived_seed(*one) for one in parts}) == len(parts)
    assert derived_seed(0, "tokenizer", 17) == 55496304834598813  # a checkpoint may be resumed on another machine
    assert all(0 <= derived_seed(one) < 2**63 for one in range(100))


def test_the_first_process_speaks_at_once(monkeypatch, capsys):
    monkeypatch.delenv("RANK", raising=False)
    assert is_first_process()
    print_failure("no luck")
    assert capsys.readouterr().err == "no luck\n"
    monkeypatch.setenv("RANK", "1")
    assert not is_first_process()


def test_the_first_ctrl_c_is_noted_and_the_second_interrupts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), deferred_interrupt() as asked:
            assert not asked.is_set()
            signal.raise_signal(signal.SIGINT)
            assert asked.is_set()
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background jobs
        with deferred_interrupt() as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_deferred():
    seen = []

    def run():
        with deferred_interrupt() as asked:
            seen.append(asked.is_set())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [False]


def test_only_the_standard_library_is_imported():
    script = """
        import sys
        before = set(sys.modules)
        import ncvqvae.runtime
        new = {name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
        assert new == {"ncvqvae"}, new
    """
    done = in_a_fresh_process(script)
    assert done.returncode == 0, done.stderr
