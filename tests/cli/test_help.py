"""What the command line says before it does anything: help, version, and what was probably meant."""

import argparse
import sys

import pytest

from helpers.processes import in_a_fresh_process
from ncvqvae import __version__
from ncvqvae.cli.__main__ import COMMANDS, main


def parsers():
    """The parser of each command."""
    commands = argparse.ArgumentParser().add_subparsers()
    for add in COMMANDS:
        add(commands)
    return commands.choices, {action.dest: action.help for action in commands._choices_actions}


PARSERS, SUMMARIES = parsers()


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0 and capsys.readouterr().out == f"ncvqvae {__version__}\n"


def test_the_bare_command_prints_the_help_of_all_commands(capsys):
    assert main([]) == 0
    bare = capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0 and capsys.readouterr().out == bare
    assert all(f"\n    {name}" in bare for name in PARSERS)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("trian", "did you mean train?"),
        ("reconstuct", "did you mean reconstruct?"),
        ("publish_data", "did you mean publish-data?"),
        ("xyzzy", "the commands are train, finetune, pretrain, sample"),
    ],
)
def test_a_mistyped_command_gets_one_line_with_what_was_probably_meant(typed, hint, capsys):
    assert main([typed, "--whatever"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith(f"ncvqvae: there is no command {typed!r}; {hint}")


@pytest.mark.parametrize("name", PARSERS)
def test_every_command_says_what_it_does_and_what_each_option_means(name, capsys):
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0 and shown.startswith(f"usage: ncvqvae {name} ")
    parser = PARSERS[name]
    assert parser.description.endswith(".") and SUMMARIES[name] and not SUMMARIES[name].endswith(".")
    assert callable(parser.get_default("run"))
    options = [action for action in parser._actions if action.dest != "help"]
    assert options and all(action.help for action in options)


def test_the_help_needs_neither_torch_nor_transformers():
    script = """
        import sys
        from ncvqvae.cli.__main__ import main
        try:
            main(sys.argv[1:])
        except SystemExit as left:
            assert left.code == 0
        heavy = {"torch", "transformers", "numpy", "datasets", "huggingface_hub", "accelerate", "gradio"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    for arguments in (["--help"], ["train", "--help"], ["evaluate", "--help"], ["--version"], []):
        done = in_a_fresh_process(script, *arguments)
        assert done.returncode == 0 and done.stdout, done.stderr


def test_the_module_and_the_console_script_are_the_same_command():
    module = in_a_fresh_process("import runpy; runpy.run_module('ncvqvae.cli', run_name='__main__')", "--version")
    assert (module.returncode, module.stdout) == (0, f"ncvqvae {__version__}\n")
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="ncvqvae")
    assert script.load() is sys.modules["ncvqvae.cli.__main__"].main
