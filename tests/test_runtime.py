"""Files that are whole or not there, errors in one line, the rank of a process."""

import os
import platform
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


@pytest.fixture
def handlers():
    """Ctrl-C, SIGTERM and SIGHUP as a fresh process has them."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("first", STOPPING)
def test_the_first_signal_is_noted_and_a_second_ctrl_c_interrupts(first, handlers, monkeypatch):
    monkeypatch.setattr("ncvqvae.runtime.SAME_SIGNAL", 0.0)
    before = [signal.getsignal(number) for number in STOPPING]
    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as asked:
        assert not asked.is_set()
        signal.raise_signal(first)
        assert asked.is_set()
        signal.raise_signal(signal.SIGTERM)  # which only ever asks
        signal.raise_signal(signal.SIGINT)
    assert before == [signal.getsignal(number) for number in STOPPING]


def test_a_signal_that_a_launcher_passes_on_at_once_is_not_a_second_one(handlers):
    with deferred_interrupt() as asked:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        assert asked.is_set()


@pytest.mark.parametrize("number", STOPPING)
def test_an_ignored_signal_stays_ignored(number, handlers):
    signal.signal(number, signal.SIG_IGN)  # as in a shell's background jobs, or after nohup
    with deferred_interrupt() as asked:
        signal.raise_signal(number)
        assert not asked.is_set()
    assert signal.getsignal(number) == signal.SIG_IGN


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


ARENAS = """
import ctypes, sys, threading
from ncvqvae.runtime import keep_freed_memory

keep_freed_memory()
libc = ctypes.CDLL(None)
libc.fopen.restype, libc.fclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
all_there = threading.Barrier(8)


def work():
    libc.malloc(100_000)
    all_there.wait()


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_what_one_thread_frees_another_one_takes(tmp_path):
    done = in_a_fresh_process(ARENAS, tmp_path / "arenas.xml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "arenas.xml").read_text().count("<heap nr=") == 1
