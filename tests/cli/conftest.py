import pytest

from ncvqvae.cli.__main__ import main


@pytest.fixture
def mistake(capsys):
    """Runs a command that must fail, and returns its one line."""

    def run(*arguments):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and "Traceback" not in error[0]
        return error[0]

    return run
