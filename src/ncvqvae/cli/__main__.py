"""The command line `ncvqvae`. A user's mistake gets one line and exit code 2."""

import argparse
import difflib
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence

from .. import __version__
from ..runtime import first_line, is_first_process, print_failure, user_errors
from . import evaluation, inference, pretraining, publishing, training, uses


COMMANDS = (
    *(training.add_train, training.add_finetune, pretraining.add_pretrain),
    *(inference.add_sample, inference.add_reconstruct, inference.add_embed, inference.add_info, inference.add_demo),
    *(uses.add_impute, uses.add_edit, uses.add_score, uses.add_augment),
    *(evaluation.add_evaluate, publishing.add_export),
    *(publishing.add_publish, publishing.add_publish_data, publishing.add_publish_space),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code; without a command it prints the help."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser("ncvqvae", description="Tokenize, generate and measure time series.")
    parser.add_argument("--version", action="version", version=f"ncvqvae {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    if not arguments:
        parser.print_help()
        return 0
    if not arguments[0].startswith("-") and arguments[0] not in commands.choices:
        close = difflib.get_close_matches(arguments[0], commands.choices, 1)
        hint = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(commands.choices)}"
        print(f"ncvqvae: there is no command {arguments[0]!r}; {hint}", file=sys.stderr)
        return 2
    options = parser.parse_args(arguments)
    options.command_line = shlex.join(["ncvqvae", *arguments])
    return run(options.run, options, f"ncvqvae {options.command}")


def run(function: Callable[[argparse.Namespace], None], options: argparse.Namespace, name: str) -> int:
    """Calls a command and returns its exit code: 2, with one line and no trace, for what a user can put right."""
    warnings.formatwarning = lambda message, *_: f"{name}: warning: {message}\n"
    try:
        function(options)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from ..models.distributed import leave_processes

            leave_processes()
    except KeyboardInterrupt as interrupt:
        if is_first_process():
            print(f"{name}: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130
    except ImportError as error:
        extras = "install ncvqvae with its extras: pip install -e '.[eval,demo,export]' in its source"
        print_failure(f"{name}: {error}; {extras}")
        return 2
    except user_errors() as error:
        print_failure(f"{name}: {first_line(error)}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
