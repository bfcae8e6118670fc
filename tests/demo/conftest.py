"""The app on loopback, one for all tests of a file."""

import pytest
import torch

from helpers.tiny import tiny_generator, tiny_tokenizer
from ncvqvae.training.run_folder import save


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return tiny_generator(tiny_tokenizer())


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    save(model, folder)
    return str(folder)


@pytest.fixture(scope="module")
def client(checkpoint, tmp_path_factory):
    yield from served_by(tmp_path_factory, checkpoint)


@pytest.fixture(scope="module")
def client_of_any(checkpoint, tmp_path_factory):
    yield from served_by(tmp_path_factory, checkpoint, allow_any=True)


def served_by(tmp_path_factory, *arguments, **options):
    gradio_client = pytest.importorskip("gradio_client", reason="the extra `demo` is not installed")
    from ncvqvae.demo.app import LAUNCH, build_demo

    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "gradio"))
        app = build_demo(*arguments, **options)
        _, url, _ = app.launch(**LAUNCH, ssr_mode=False, prevent_thread_lock=True, quiet=True)
        yield gradio_client.Client(url, download_files=folder / "downloads", verbose=False, analytics_enabled=False)
        app.close(verbose=False)
