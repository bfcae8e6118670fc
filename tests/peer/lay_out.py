"""Fetches the tests of models that transformers runs on its own, for `stage1.py` and `prior.py` beside this.

They are not in its wheel but in its sdist; pip brings that of the installed version. They are kept in `.peer/`, so
that the network is needed once. Without it, and without that folder, the tests say why they are skipped.
"""

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory


VERSION = version("transformers")
FOLDER = Path(__file__).parents[2] / ".peer" / VERSION
MISSING = f"the tests of transformers {VERSION} are not in {FOLDER}, and pip cannot bring its sdist"
# What those tests import and the sdist lacks. Of the first two, our tests inherit nothing.
STAND_INS = {
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    # Values beside the defaults, of what all configurations have.
    "utils/test_configuration_utils.py": """config_common_kwargs = {
    "architectures": ["NCVQVAEModel"],
    "chunk_size_feed_forward": 3,
    "dtype": "float16",
    "id2label": {0: "up", 1: "down", 2: "flat"},
    "label2id": {"up": 0, "down": 1, "flat": 2},
    "output_hidden_states": True,
    "problem_type": "regression",
    "return_dict": False,
}
""",
}


def lay_out() -> bool:
    """Leaves the package `common_tests` in `FOLDER`; says whether it is there."""
    if FOLDER.is_dir():
        return True
    FOLDER.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=FOLDER.parent) as given:
        work = Path(given)
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "transformers"]
        done = subprocess.run([*fetch, "--dest", work, f"transformers=={VERSION}"], capture_output=True, text=True)
        if done.returncode:
            print(f"skipped: {MISSING}: {done.stderr.strip().splitlines()[-1]}")
            return False
        package = work / "new" / "common_tests"
        package.mkdir(parents=True)
        with tarfile.open(next(work.glob("transformers-*.tar.gz"))) as archive:
            for member in archive:
                if member.isfile() and Path(member.name).match("transformers-*/tests/*.py"):
                    (package / Path(member.name).name).write_bytes(archive.extractfile(member).read())
        for name, text in {"__init__.py": "", **STAND_INS}.items():
            (package / name).parent.mkdir(exist_ok=True)
            (package / name).with_name("__init__.py").touch()
            (package / name).write_text(text)
        package.parent.rename(FOLDER)
    return True


if __name__ == "__main__":
    sys.exit(not lay_out())
