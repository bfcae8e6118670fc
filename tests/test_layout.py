"""The rooms of the package and who may import whom, read from the source; design.md says why.

`pytest tests/test_layout.py -s` prints the counts.
"""

import ast
import sys
from functools import cache
from typing import NamedTuple

from helpers.places import ROOT, TESTS


PACKAGE = ROOT / "src" / "ncvqvae"
BELOW = ("models", "inference", "runtime")
# What each room or loose module may import of ours, beside itself: a name stands for all that is in it.
ALLOWED = {
    "models": (),
    "runtime": (),
    **dict.fromkeys(("inference", "registration", "data"), ("models", "runtime")),
    "evaluation": ("data", *BELOW),
    **dict.fromkeys(("training", "hub"), ("evaluation", "data", *BELOW)),
    "demo": ("evaluation.plots", "data", *BELOW),
    "cli": ("demo", "hub", "training", "evaluation", "data", "__init__", *BELOW),
    "__init__": ("registration",),
}
# From the ground up. An arrow to a box that stands at the same height or higher points upward.
HEIGHTS = (
    ("models", "runtime"),
    ("inference", "registration", "data"),
    ("evaluation", "__init__"),
    ("training", "hub", "demo"),
    ("cli",),
)
MOST_ENTRIES, MOST_FLOORS = 12, 6
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Import(NamedTuple):
    """One module of ours that another imports, both by their path in the package, such as `data.series`."""

    source: str
    target: str
    dots: int  # 0 for an absolute import
    line: int
    in_function: bool

    def __str__(self):
        return f"{self.source.replace('.', '/')}.py:{self.line} imports {self.target}"


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@cache
def modules():
    return {name_of(path): path for path in PACKAGE.rglob("*.py")}


def box(module):
    """The room of a module, or itself where it stands loose; `__init__` is the public face."""
    return module.split(".")[0]


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def nodes(tree, in_function=False):
    """Every import with whether it stands in a function, but for those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if is_for_types(node):
            for other in node.orelse:
                yield from nodes(other, in_function)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node, in_function
        else:
            yield from nodes(
                node, in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            )


def target(parts):
    """The module that a dotted name in the package stands for: `data.series.to_tensors` for `data.series`."""
    known = modules()
    for end in range(len(parts), 0, -1):
        for name in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
            if name in known:
                return name
    return "__init__"


@cache
def imports():
    found = []
    for source, path in modules().items():
        folder = source.split(".")[:-1]
        for node, in_function in nodes(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name.split(".") for alias in node.names]
                targets = [target(parts[1:]) for parts in names if parts[0] == "ncvqvae"]
                found += [Import(source, one, 0, node.lineno, in_function) for one in targets]
                continue
            stated = node.module.split(".") if node.module else []
            if node.level:
                base = [*folder[: len(folder) - node.level + 1], *stated]
            elif stated[0] == "ncvqvae":
                base = stated[1:]
            else:
                continue
            targets = {target([*base, alias.name]) for alias in node.names}
            found += [Import(source, one, node.level, node.lineno, in_function) for one in sorted(targets)]
    return found


def boxes():
    return {box(module) for module in modules()}


def arrows():
    return {(box(one.source), box(one.target)) for one in imports()} - {(name, name) for name in boxes()}


def circles():
    """The modules that import themselves by way of others."""
    following = {name: {one.target for one in imports() if one.source == name} for name in modules()}

    def reached(name):
        seen, waiting = set(), [name]
        while waiting:
            new = following[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    return {name for name in modules() if name in reached(name)}


def floors():
    """The floor of each box: one above the highest box that it imports."""

    @cache
    def floor(name):
        return 1 + max((floor(end) for start, end in arrows() if start == name), default=0)

    return {name: floor(name) for name in boxes()}


def upward():
    height = {name: level for level, row in enumerate(HEIGHTS) for name in row}
    return {(start, end) for start, end in arrows() if height[end] >= height[start]}


def entries():
    return {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}


def is_allowed(one):
    names = (*ALLOWED[box(one.source)], box(one.source))
    return box(one.target) in names or one.target in names


def test_each_room_imports_what_it_may_and_nothing_else():
    assert boxes() == set(ALLOWED), "a room or a loose module is new, or gone: say what it may import"
    assert [str(one) for one in imports() if not is_allowed(one)] == []


def test_what_travels_to_the_hub_imports_its_siblings_alone():
    """transformers copies `models/` flat; it would take `from ..x` for a sibling `x`, and fail on every save."""
    own = [one for one in imports() if box(one.source) == "models"]
    assert own and [str(one) for one in own if one.dots != 1 or box(one.target) != "models"] == []
    assert not [path for path in (PACKAGE / "models").iterdir() if path.is_dir() and path.name != "__pycache__"]


def test_there_is_no_circle_among_modules_and_no_arrow_upward():
    assert circles() == set()
    assert upward() == set()


def test_the_command_line_imports_ours_inside_functions():
    """So that every command starts at once, and `--help` needs no extra."""
    free = ("runtime", "__init__")
    early = [one for one in imports() if box(one.source) == "cli" and not one.in_function]
    assert [str(one) for one in early if box(one.target) not in (*free, "cli")] == []


def test_packages_below_the_top_hold_a_docstring_and_nothing_else():
    """So that inference needs neither datasets nor accelerate nor matplotlib."""
    for path in PACKAGE.glob("*/**/__init__.py"):
        (only,) = ast.parse(path.read_text()).body
        assert isinstance(only, ast.Expr) and isinstance(only.value.value, str), path


def test_no_test_module_imports_another_and_their_names_are_unique():
    names = [path.stem for path in TESTS.rglob("test_*.py")]
    assert len(names) == len(set(names))
    for path in TESTS.rglob("*.py"):
        found = {
            node.module if isinstance(node, ast.ImportFrom) else alias.name
            for node, _ in nodes(ast.parse(path.read_text()))
            for alias in node.names
        }
        assert not found & {*names, "conftest"}, path


def test_the_house_stays_small():
    counts = {
        "entries": len(entries()),
        "modules": len(modules()) - len(list(PACKAGE.glob("*/**/__init__.py"))),
        "boxes": len(boxes()),
        "arrows": len(arrows()),
        "upward arrows": len(upward()),
        "circles": len(circles()),
        "floors": max(floors().values()),
    }
    print("\n" + ", ".join(f"{count} {name}" for name, count in counts.items()))
    print(
        "floors: " + ", ".join(f"{name} {floor}" for name, floor in sorted(floors().items(), key=lambda one: one[1]))
    )
    assert counts["entries"] <= MOST_ENTRIES and counts["floors"] <= MOST_FLOORS


def test_these_rules_see_what_would_break_them(tmp_path, monkeypatch):
    """A house of two rooms in which everything is wrong."""
    house = {
        "__init__.py": '"""Top."""',
        "runtime.py": "def late():\n    from .data.series import read",
        "models/__init__.py": "",
        "models/one.py": "from ..runtime import late",
        "data/__init__.py": '"""Data."""',
        "data/series.py": "from ..models import one\nfrom ncvqvae.cli.train import run",
        "cli/__init__.py": '"""Commands."""',
        "cli/train.py": "import ncvqvae.data.series\nif TYPE_CHECKING:\n    from ..demo.app import show",
        "demo/__init__.py": '"""App."""',
        "demo/app.py": "",
    }
    for name, text in house.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    caches = (modules, imports)
    for one in caches:
        one.cache_clear()
    try:
        said = [str(one) for one in imports()]
        assert said and not any("demo" in one for one in said)
        assert sorted(str(one) for one in imports() if not is_allowed(one)) == [
            "data/series.py:2 imports cli.train",
            "models/one.py:1 imports runtime",
            "runtime.py:2 imports data.series",
        ]
        assert upward() == {("runtime", "data"), ("models", "runtime"), ("data", "cli")}
        assert circles() == {"runtime", "models.one", "data.series", "cli.train"}
        assert [one.in_function for one in imports() if one.source in ("cli.train", "runtime")].count(True) == 1
    finally:
        for one in caches:
            one.cache_clear()
