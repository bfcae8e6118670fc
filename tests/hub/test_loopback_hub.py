"""The loopback hub, and through it what users do with the Hub: each step in a fresh process, as on another machine."""

import hashlib
import json
import socket
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path

import pytest
import torch

from helpers.environments import environment_with
from helpers.loopback_hub import File
from helpers.processes import generate_as_a_stranger, in_a_fresh_process
from helpers.tensors import assert_same
from ncvqvae.training.run_folder import save


PUBLISH = """
import json, sys
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

def refused(call, *arguments, error=HfHubHTTPError, **options):
    try:
        call(*arguments, **options)
    except error as raised:
        return raised.response.status_code
    raise AssertionError("was not refused")

folder, repo = sys.argv[1:]
api = HfApi()
me = api.whoami()
assert me["name"] == "tester" and [one["name"] for one in me["orgs"]] == ["org"], me
assert str(api.create_repo(repo)) == str(api.create_repo(repo, exist_ok=True)) == f"{api.endpoint}/{repo}"
for token, other, status in ((None, repo, 409), (None, "someone/else", 403), ("hf_read", "tester/new", 403)):
    assert refused(api.create_repo, other, token=token) == status
for token in ("hf_expired", False):
    assert refused(api.create_repo, "tester/new", token=token) == 401
assert refused(api.whoami, token="hf_expired") == 401
assert refused(api.model_info, "tester/new", error=RepositoryNotFoundError) == 404
assert refused(api.model_info, repo, revision="v9", error=RevisionNotFoundError) == 404
first = api.upload_folder(repo_id=repo, folder_path=folder)
assert api.upload_folder(repo_id=repo, folder_path=folder).oid == first.oid  # nothing has changed
api.create_tag(repo, tag="v1")
api.upload_file(repo_id=repo, path_in_repo="figures/a.txt", path_or_fileobj=b"second")
assert {tag.name: tag.target_commit for tag in api.list_repo_refs(repo).tags} == {"v1": first.oid}
assert api.model_info(repo, revision="v1").sha == first.oid != api.model_info(repo).sha
assert [file.path for file in api.list_repo_tree(repo, "figures")] == ["figures/a.txt"]
assert api.file_exists(repo, "figures/a.txt") and not api.file_exists(repo, "figures/a.txt", revision="v1")
print(json.dumps([snapshot_download(repo), snapshot_download(repo, revision="v1")]))
"""

INTERRUPTED = """
import sys
from huggingface_hub import HfApi
try:
    HfApi().upload_folder(repo_id=sys.argv[2], folder_path=sys.argv[1], delete_patterns="*")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""

# With the package, where a stranger runs the code that the repository holds.
LOAD = """
import sys
import ncvqvae
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1], revision="v1")
assert type(model).__module__.startswith("ncvqvae")
torch.save([model.state_dict(), model.generate(4, generator=torch.Generator().manual_seed(0))], sys.argv[2])
"""

SAVE_AND_PUSH = """
import sys
import ncvqvae
import torch
from huggingface_hub import snapshot_download
from transformers import AutoModel
folder, repo = sys.argv[1:]
model = AutoModel.from_pretrained(folder)
for number in range(3):
    torch.nn.init.constant_(model.label_embedding.weight, number)
    if number < 2:
        model.save_pretrained(folder, push_to_hub=True, repo_id=repo)
    else:
        model.push_to_hub(repo)
    again = AutoModel.from_pretrained(snapshot_download(repo))  # checked, as every local folder
    assert torch.equal(again.label_embedding.weight, model.label_embedding.weight)
"""

DATASET = """
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, load_dataset
from huggingface_hub import HfApi

def dataset(length, names):
    features = Features({"values": List(Value("float32"), length=length), "label": ClassLabel(names=names)})
    def split(count):
        rows = [[index / 3 + step for step in range(length)] for index in range(count)]
        return Dataset.from_dict({"values": rows, "label": [i % len(names) for i in range(count)]}, features=features)
    return DatasetDict(train=split(5), test=split(3))

configs = {"GunPoint": dataset(7, ["1", "2"]), "Coffee": dataset(4, ["-1", "0", "1"])}
for name, pushed in configs.items():
    pushed.push_to_hub("org/ucr", name)
for name, pushed in configs.items():
    loaded = load_dataset("org/ucr", name)
    assert list(loaded) == ["train", "test"]
    for split, expected in pushed.items():
        assert loaded[split].features == expected.features, loaded[split].features
        assert loaded[split].features["label"].names == expected.features["label"].names
        assert loaded[split][:] == expected[:]
assert HfApi().dataset_info("org/ucr").id == "org/ucr"
HfApi().create_repo("tester/demo", repo_type="space", space_sdk="gradio")
assert HfApi().space_info("tester/demo").sha
"""


@pytest.fixture
def folder(model, tmp_path):
    save(model, tmp_path / "ncvqvae-tiny")
    (tmp_path / "ncvqvae-tiny" / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    return tmp_path / "ncvqvae-tiny"


def run(code, *arguments, environment, fails=False):
    done = in_a_fresh_process(code, *arguments, environment=environment)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_published_is_what_main_and_the_tag_hold(hub, folder, tmp_path):
    hub.add_repo("someone/else")
    main, tagged = json.loads(run(PUBLISH, folder, "org/tiny", environment=hub.environment(tmp_path)))
    assert contents(Path(tagged)) == hub.files("org/tiny", revision="v1")
    assert contents(Path(main)) == hub.files("org/tiny") == contents(Path(tagged)) | {"figures/a.txt": b"second"}
    assert contents(Path(tagged)).items() >= contents(folder).items()
    assert hub.commits("org/tiny") == 3  # its creation, and one for each upload that changed something
    assert set(hub.repos) == {("model", "org/tiny"), ("model", "someone/else")}


def test_weights_go_up_with_their_digest_each_time(hub, folder, tmp_path):
    run(SAVE_AND_PUSH, folder, "tester/tiny", environment=hub.environment(tmp_path))
    files = hub.files("tester/tiny")
    assert files["model.sha256"].decode().strip() == hashlib.sha256(files["model.safetensors"]).hexdigest()


@pytest.mark.parametrize("step", ["lfs", "commit"])
def test_an_interrupted_upload_leaves_the_previous_version_whole(hub, folder, tmp_path, step):
    environment = hub.environment(tmp_path)
    hub.add_repo("tester/tiny").add_version({"old.txt": File(b"old")})
    hub.fail_next = step
    message = run(INTERRUPTED, folder, "tester/tiny", environment=environment, fails=True)
    assert "RuntimeError: Error while uploading 'model.safetensors'" in message if step == "lfs" else "507" in message
    assert hub.files("tester/tiny") == {"old.txt": b"old"} and hub.commits("tester/tiny") == 2
    run(INTERRUPTED, folder, "tester/tiny", environment=environment)
    assert hub.files("tester/tiny") == contents(folder) and hub.commits("tester/tiny") == 3


@pytest.mark.slow
def test_a_checkpoint_loads_bitwise_with_the_package_with_only_torch_and_transformers_and_offline(
    hub, model, folder, tmp_path
):
    repo = hub.add_repo("org/tiny")
    repo.add_version({name: File(data, lfs=name.endswith(".safetensors")) for name, data in contents(folder).items()})
    repo.refs["v1"] = repo.refs["main"]
    repo.add_version({})  # so that only the tag holds it
    generated = model.generate(4, generator=torch.Generator().manual_seed(0))
    packages = environment_with(tmp_path / "packages", "torch", "transformers")
    for number, (path, home, offline) in enumerate((("", "a", "0"), (packages, "b", "0"), (packages, "b", "1"))):
        environment = hub.environment(tmp_path / home) | {"HF_HUB_OFFLINE": offline}
        requests, out = len(hub.requests), tmp_path / f"{number}.pt"
        if path:
            weights, again = generate_as_a_stranger(path, "org/tiny", out, environment, revision="v1")
        else:
            run(LOAD, "org/tiny", out, environment=environment)
            weights, again = torch.load(out)
        assert (len(hub.requests) == requests) == (offline == "1")
        assert torch.equal(again, generated)
        assert_same(weights, model.state_dict())


def test_datasets_of_two_configurations_come_back_as_they_were_pushed(hub, tmp_path):
    run(DATASET, environment=hub.environment(tmp_path))
    paths = {path for path in hub.files("org/ucr", "dataset") if path.endswith(".parquet")}
    assert {path.split("-")[0] for path in paths} == {"GunPoint/train", "GunPoint/test", "Coffee/train", "Coffee/test"}
    assert hub.commits("org/ucr", "dataset") == 3


def test_large_files_are_kept_only_as_what_their_sha256_says_and_read_in_ranges(hub):
    repo, data = hub.add_repo("tester/bytes"), b"0123456789"
    repo.add_version({"a.bin": File(data, lfs=True)})

    def ask(method, path, body=None, **headers):
        connection = HTTPConnection(*hub.server.server_address)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers

    file = "/tester/bytes/resolve/main/a.bin"
    for range_, expected in (("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=8-99", b"89")):
        status, body, headers = ask("GET", file, Range=range_)
        assert (status, body) == (206, expected) and headers["Content-Range"].endswith("/10")
    assert ask("GET", file, Range="bytes=10-")[0] == 416
    status, body, headers = ask("HEAD", file)
    assert (status, body, headers["Content-Length"], headers["X-Repo-Commit"]) == (200, b"", "10", repo.refs["main"])
    assert headers["ETag"] == headers["X-Linked-Etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    assert ask("PUT", f"/lfs/{'0' * 64}", b"other")[0] == 400 and not hub.large_files
    assert ask("POST", "/api/unknown", b"")[0] == 501


def test_half_a_commit_changes_nothing(hub):
    hub.add_repo("tester/tiny")
    whole_line = b'{"key": "file", "value": {"path": "a.txt", "content": ""}}\n'
    connection = HTTPConnection(*hub.server.server_address)
    headers = {"Authorization": "Bearer hf_dummy", "Content-Length": str(2 * len(whole_line))}
    connection.request("POST", "/api/models/tester/tiny/commit/main", whole_line, headers)
    connection.sock.shutdown(socket.SHUT_WR)
    with pytest.raises(RemoteDisconnected):
        connection.getresponse()
    assert hub.commits("tester/tiny") == 1
