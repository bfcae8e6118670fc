"""Whether tests notice faults: `python tests/mutation/run.py [FROM [TO]]`. No part of pytest.

It puts each of `MUTANTS` into a copy of the package, and runs its tests until the first fails. It prints the survivors
and the share that was caught. A fault that makes the tests endless counts as caught, and is printed as such.
"""

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parent))

from mutants import MUTANTS


REPOSITORY = Path(__file__).parents[2]
# Of a mutant, which may make a loop endless: so many seconds of a processor, which others may share, or of waiting.
SECONDS, WAITING = 300, 3000


def outcome(package: Path, file: str, old: str, new: str, tests: str) -> str:
    """What the tests make of a fault: `caught`, `endless` or `SURVIVED`."""
    path = package / "ncvqvae" / file
    text = path.read_text()
    if text.count(old) < 1:
        raise ValueError(f"{file} has no {old!r} any more: change the mutant")
    path.write_text(text.replace(old, new, 1))
    try:
        process = os.fork()  # torch and transformers are imported once
        if process == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            signal.alarm(WAITING)
            os._exit(_failed(package, tests.split()))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return "SURVIVED" if code == 0 else "caught" if code > 0 else "endless"
    finally:
        path.write_text(text)


def _failed(package: Path, tests: list[str]) -> int:
    import pytest

    sys.path[:0] = [str(package), str(REPOSITORY / "tests")]
    os.environ["PYTHONPATH"] = f"{package}{os.pathsep}{REPOSITORY / 'tests'}"
    os.chdir(REPOSITORY)
    out = os.open(os.devnull, os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    options = ["-x", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-m", "not slow"]
    code = pytest.main([*options, *(f"tests/{one}" for one in tests)])
    import ncvqvae

    same = Path(ncvqvae.__file__).is_relative_to(package)
    return int(code == pytest.ExitCode.TESTS_FAILED or not same)


def main(first: int = 0, last: int = len(MUTANTS)) -> int:
    import datasets  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401

    survivors, number = [], 0
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(REPOSITORY / "src" / "ncvqvae", Path(folder) / "ncvqvae")
        chosen = MUTANTS[first:last]
        for tests in dict.fromkeys(tests for *_, tests in chosen):
            if outcome(Path(folder), "__init__.py", '"""', '"""', tests) != "SURVIVED":
                raise ValueError(f"{tests} fails without any fault")
        for file, old, new, tests in chosen:
            start = time.monotonic()
            said = outcome(Path(folder), file, old, new, tests)
            number += 1
            survivors += [(file, old, new)] if said == "SURVIVED" else []
            print(f"{said:<9}{time.monotonic() - start:5.0f} s  {file}: {old!r} -> {new!r}", flush=True)
    print(f"{number - len(survivors)} of {number} caught")
    return int(len(survivors) > 0.05 * number)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
