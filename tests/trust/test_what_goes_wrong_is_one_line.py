"""Errors of loading, of memory and of the network: one line that says what to do."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.processes import in_a_fresh_process
from ncvqvae.cli.__main__ import main
from ncvqvae.inference import load_checkpoint
from ncvqvae.runtime import MOST_SHOWN, first_line, user_errors


class Portal(BaseHTTPRequestHandler):
    """A network's login page, which answers every request."""

    def do_GET(self):
        page = b"<html>Please log in</html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    do_POST = do_PUT = do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def portal():
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


TRY = """
import os
from ncvqvae.cli.__main__ import main
for os.environ["HF_TOKEN"] in {tokens}:
    main(["sample", "org/toy", "out.csv", "-n", "1"])
"""


@pytest.mark.slow
def test_what_stands_between_a_user_and_the_hub_is_named(hub, portal, tmp_path):
    expected = {
        "hf_dummy": "org/toy is not a local folder",
        "hf_expired": "the Hub refuses the token: it is wrong or has expired",
        "hf_ünknown": "the token for the Hub holds characters that none has",
    }
    environment = hub.environment(tmp_path / "home")
    for address, wanted in (
        (hub.url, expected),
        (portal, {"hf_dummy": "perhaps a login page of this network"}),
    ):
        environment["HF_ENDPOINT"] = address
        done = in_a_fresh_process(TRY.format(tokens=list(wanted)), environment=environment, cwd=tmp_path)
        lines = done.stderr.strip().splitlines()
        assert len(lines) == len(wanted), done.stderr
        for line, message in zip(lines, wanted.values(), strict=True):
            assert message in line and "org/toy" in line


@pytest.mark.parametrize("error", [MemoryError(), OverflowError("int too large"), RuntimeError("x" * 10_000)])
def test_what_a_machine_cannot_do_is_said_in_a_line_that_can_be_read(error):
    assert isinstance(error, user_errors()) and 0 < len(first_line(error)) <= MOST_SHOWN + 4
    assert first_line(MemoryError()).startswith("this machine has too little memory")


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_is_none_is_refused(port, capsys):
    assert main(["demo", "--port", port]) == 2
    assert f"a port lies in 1 to 65535, found {port}" in capsys.readouterr().err


def test_numbers_that_no_machine_holds_are_refused(checkpoint, tmp_path, capsys):
    for options, message in (
        (["-n", str(10**30)], "num_samples must be a whole number up to"),
        (["--seed", str(10**30)], "--seed must lie in 0 to"),
        (["-n", "1", "--temperature", "inf"], "temperature must be a finite number"),
    ):
        assert main(["sample", checkpoint, str(tmp_path / "out.csv"), *options]) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "out.csv").exists()


def test_whatever_a_library_raises_names_the_checkpoint(checkpoint, monkeypatch):
    def fail(*_, **__):
        raise KeyError("metadata")

    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", fail)
    with pytest.raises(ValueError, match=f"^{checkpoint} cannot be loaded: "):
        load_checkpoint(checkpoint)


ALIASES = "prior:\n  a0: &a0 {x: 1}\n" + "".join(
    f"  a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}, z: *a{n - 1}}}\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff\xfe\x00", "is not YAML"),
        (ALIASES.encode(), "is not YAML: it holds more than 100000 values"),
        (b"tokenizer: &a {b: *a}", "is not YAML: it holds more than 100000 values"),
        (b"seed: " + b"9" * 5000, "is not YAML"),
        (b"seed: !!python/object/apply:os.getcwd []", "is not YAML"),
        (b"#" * 2**21, "has 2097152 bytes, more than any recipe"),
    ],
)
def test_a_damaged_recipe_is_named(text, message, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_bytes(text)
    assert main(["train", "GunPoint", "--recipe", str(tmp_path / "mine.yaml")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"mine.yaml {message}" in line
