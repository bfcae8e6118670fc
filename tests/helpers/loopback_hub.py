"""A Hugging Face Hub on loopback, so that tests publish and load with the real client and no network.

A test double: it answers the requests that huggingface_hub 2.4 and datasets 5.2 were seen to send, as they read the
answers. What passes here is no proof against huggingface.co. Known to differ: no Xet, so the client takes its older
path of one commit per upload; no CDN, pages, branches, pull requests or deletion of repositories; of a card only
whether its YAML parses; blob ids of large files. ROUTES is all it knows; other requests are answered 404 or 501.
"""

import base64
import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path, PurePosixPath
from socketserver import ThreadingTCPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import yaml


TOKENS = {"hf_dummy": "write", "hf_read": "read"}  # both are user "tester"; all others are refused, as if expired
NAMESPACES = ("tester", "org")
LFS_SUFFIXES = (".safetensors", ".parquet", ".arrow", ".bin", ".npy", ".npz", ".pt", ".gz", ".zip")
GIT_ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)

API = r"/api/(?P<kind>model|dataset|space)s/(?P<repo_id>[^/]+/[^/]+)"
GIT = r"/(?:(?P<kind>dataset|space)s/)?(?P<repo_id>[^/]+/[^/]+)"
REVISION = r"/(?P<revision>[^/]+)"
ROUTES = {
    "whoami": ("GET", r"/api/whoami-v2"),
    "create_repo": ("POST", r"/api/repos/create"),
    "validate_yaml": ("POST", r"/api/validate-yaml"),
    "info": ("GET", rf"{API}(?:/revision{REVISION})?"),
    "refs": ("GET", rf"{API}/refs"),
    "tag": ("POST", rf"{API}/tag{REVISION}"),
    "tree": ("GET", rf"{API}/tree{REVISION}(?:/(?P<path>.+))?"),
    "preupload": ("POST", rf"{API}/preupload{REVISION}"),
    "lfs_batch": ("POST", rf"{GIT}\.git/info/lfs/objects/batch"),
    "lfs_put": ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})"),
    "commit": ("POST", rf"{API}/commit{REVISION}"),
    "resolve": ("GET", rf"{GIT}/resolve{REVISION}/(?P<path>.+)"),
}


class Answer(Exception):
    """What is sent back; raised where it is an error. The client makes exceptions of its own from `X-Error-Code`."""

    def __init__(self, content: Any, status: int = 200, **headers: str):
        self.body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.status, self.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
        if status >= 400:
            self.headers["X-Error-Message"] = content["error"]


@dataclass(frozen=True)
class File:
    content: bytes
    lfs: bool = False

    @property
    def oid(self) -> str:
        git = hashlib.sha1(b"blob %d\0%s" % (len(self.content), self.content))
        return hashlib.sha256(self.content).hexdigest() if self.lfs else git.hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        size, lfs = {"size": len(self.content)}, {"oid": self.oid, "sha256": self.oid, "pointerSize": 130}
        return {"type": "file", "path": path, "oid": self.oid} | size | ({"lfs": lfs | size} if self.lfs else {})


@dataclass
class Repo:
    private: bool = False
    versions: dict[str, dict[str, File]] = field(default_factory=dict)  # by commit id, every file by its path
    refs: dict[str, str] = field(default_factory=dict)  # "main", and the tags

    def add_version(self, files: dict[str, File]) -> str:
        listing = f"{len(self.versions)} {sorted((path, file.oid) for path, file in files.items())}"
        commit = self.refs["main"] = hashlib.sha1(listing.encode()).hexdigest()
        self.versions[commit] = files
        return commit

    def at(self, revision: str) -> tuple[str, dict[str, File]]:
        commit = self.refs.get(revision, revision)
        if commit not in self.versions:
            raise Answer({"error": f"Invalid rev id: {revision}"}, 404, X_Error_Code="RevisionNotFound")
        return commit, self.versions[commit]


@dataclass
class LoopbackHub:
    """The hub's state and its server: `with LoopbackHub() as hub:`, or `start` and `stop`.

    Attributes:
        repos: by kind and id.
        requests: `GET /api/whoami-v2` and so on in the order of their arrival, without queries.
        fail_next: where set to "lfs", "commit" or "create", the next request that uploads a large file, commits or
            creates a repository is answered `fail_status`, by default 507, which the client does not retry, and
            nothing of it is kept. Then it is None again.
        private_by_default: what a new repository is where the client does not say.
    """

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    large_files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    fail_next: Literal["lfs", "commit", "create"] | None = None
    fail_status: int = 507
    private_by_default: bool = False

    def start(self) -> "LoopbackHub":
        self.lock = threading.Lock()
        self.server = ThreadingTCPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    __enter__, __exit__ = start, stop

    def environment(self, home: Path, token: str | None = "hf_dummy") -> dict[str, str]:
        """All variables of a fresh process that knows this hub alone and keeps what it downloads in `home`."""
        others = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "XDG_CACHE_HOME")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        variables |= dict(HF_ENDPOINT=self.url, HF_HOME=str(home), HF_HUB_DISABLE_XET="1", HF_HUB_OFFLINE="0")
        variables |= dict(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_UPDATE_CHECK="1", HF_UPDATE_DOWNLOAD_COUNTS="0")
        variables |= dict(HF_HUB_DISABLE_PROGRESS_BARS="1", NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
        return variables | ({"HF_TOKEN": token} if token else {})

    def add_repo(self, repo_id: str, kind: str = "model", private: bool = False) -> Repo:
        """Creates a repository, in any namespace, with the first commit that the Hub makes: `.gitattributes`."""
        repo = self.repos[kind, repo_id] = Repo(private)
        repo.add_version({".gitattributes": File(GIT_ATTRIBUTES.encode())})
        return repo

    def files(self, repo_id: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """What a version holds by path, with the `.gitattributes` of the Hub."""
        return {path: file.content for path, file in self.repos[kind, repo_id].at(revision)[1].items()}

    def commits(self, repo_id: str, kind: str = "model") -> int:
        """How many versions there are; the creation of a repository makes the first."""
        return len(self.repos[kind, repo_id].versions)


class _Handler(BaseHTTPRequestHandler):
    """A method per route, which takes the named parts of the path."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: LoopbackHub

    def _serve(self) -> None:
        url, method = urlsplit(self.path), "GET" if self.command == "HEAD" else self.command
        size = int(self.headers.get("Content-Length", 0))
        self.query, self.body = parse_qs(url.query), self.rfile.read(size)
        if len(self.body) < size:
            self.close_connection = True  # the client is gone; half a request changes nothing
            return
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {unquote(url.path)}")
            try:
                content = self._route(method, url.path)
                answer = content if isinstance(content, Answer) else Answer(content)
            except Answer as error:
                answer = error
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET = do_POST = do_PUT = _serve

    def log_message(self, *_: object) -> None:
        pass

    def _route(self, method: str, path: str) -> Any:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            raise Answer({"error": "Invalid credentials in Authorization header"}, 401)
        self.role = TOKENS.get(token)
        for name, (wanted, pattern) in ROUTES.items():
            if method == wanted and (match := re.fullmatch(pattern, path)):
                parts = {key: unquote(part) for key, part in match.groupdict().items() if part}
                if "repo_id" in parts:
                    self._find(parts.pop("kind", "model"), parts.pop("repo_id"), write=method == "POST")
                return getattr(self, name)(**parts)
        if method == "GET":
            raise Answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        raise Answer({"error": f"the loopback hub does not know {method} {path}"}, 501)

    def _find(self, kind: str, repo_id: str, write: bool) -> None:
        repo = self.hub.repos.get((kind, repo_id))
        if repo is None or (repo.private and self.role is None):
            raise Answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        self.repo, self.repo_id, self.repo_url = repo, repo_id, self._url(kind, repo_id)
        if write:
            self._check_role(repo_id)

    def _url(self, kind: str, repo_id: str) -> str:
        return f"{self.hub.url}/{'' if kind == 'model' else f'{kind}s/'}{repo_id}"

    def _check_role(self, repo_id: str | None = None) -> None:
        if self.role is None:
            raise Answer({"error": "Invalid username or password."}, 401)
        if repo_id and (self.role == "read" or repo_id.split("/")[0] not in NAMESPACES):
            raise Answer({"error": f"You don't have the rights to write to {repo_id}"}, 403)

    def _fail_if_told(self, step: str) -> None:
        if self.hub.fail_next == step:
            self.hub.fail_next = None
            raise Answer({"error": f"the loopback hub was told to fail: {step}"}, self.hub.fail_status)

    def whoami(self) -> dict[str, Any]:
        self._check_role()
        token = {"displayName": "test", "role": self.role}
        user = {"type": "user", "name": NAMESPACES[0], "fullname": "Tester"}
        return user | {"orgs": [{"type": "org", "name": NAMESPACES[1]}], "auth": {"accessToken": token}}

    def create_repo(self) -> dict[str, str]:
        wanted = json.loads(self.body)
        kind, repo_id = wanted.get("type", "model"), f"{wanted['organization'] or NAMESPACES[0]}/{wanted['name']}"
        self._check_role(repo_id)
        self._fail_if_told("create")
        url = {"url": self._url(kind, repo_id)}
        if (kind, repo_id) in self.hub.repos:
            raise Answer(url | {"error": f"You already created this {kind} repo"}, 409)
        private = {"private": True, "public": False}.get(wanted.get("visibility"), self.hub.private_by_default)
        self.hub.add_repo(repo_id, kind, private)
        return url

    def validate_yaml(self) -> dict[str, Any]:
        header = re.match(r"---\n(.*?)\n---", json.loads(self.body)["content"], re.DOTALL)
        try:
            yaml.safe_load(header[1] if header else "")
        except yaml.YAMLError as failure:
            raise Answer({"error": "Invalid YAML", "errors": [{"message": str(failure)}]}, 400) from None
        return {"errors": [], "warnings": []}

    def info(self, revision: str = "main") -> dict[str, Any]:
        sha, files = self.repo.at(revision)
        entries = [file.entry(path) for path, file in files.items()]
        siblings = [entry | {"rfilename": entry["path"], "blobId": entry["oid"]} for entry in entries]
        return {"id": self.repo_id, "sha": sha, "private": self.repo.private, "tags": [], "siblings": siblings}

    def refs(self) -> dict[str, Any]:
        refs = {"heads": [], "tags": []}
        for name, commit in self.repo.refs.items():
            folder = "heads" if name == "main" else "tags"
            refs[folder].append({"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": commit})
        return {"branches": refs["heads"], "tags": refs["tags"], "converts": []}

    def tag(self, revision: str) -> None:
        name = json.loads(self.body)["tag"]
        if name in self.repo.refs:
            raise Answer({"error": f"Tag reference exists already: {name}"}, 409)
        self.repo.refs[name], _ = self.repo.at(revision)

    def tree(self, revision: str, path: str = "") -> list[dict[str, Any]]:
        entries, prefix = {}, f"{path}/" if path else ""
        for name, file in self.repo.at(revision)[1].items():
            for folder in map(str, PurePosixPath(name).parents[:-1]):
                entries[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            entries[name] = file.entry(name)
        if path and entries.get(path, {"type": "nothing"})["type"] != "directory":
            raise Answer({"error": f"{path} does not exist"}, 404, X_Error_Code="EntryNotFound")
        deep = self.query.get("recursive", ["false"])[0].lower() == "true"
        below = {name: name[len(prefix) :] for name in sorted(entries) if name.startswith(prefix)}
        return [entries[name] for name, rest in below.items() if deep or "/" not in rest]

    def preupload(self, revision: str) -> dict[str, Any]:
        _, files = self.repo.at(revision)
        answers = []
        for wanted in json.loads(self.body)["files"]:
            path = wanted["path"]
            large = path.endswith(LFS_SUFFIXES) or b"\0" in base64.b64decode(wanted["sample"])
            known = {"oid": files[path].oid} if path in files else {}
            answers.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False} | known)
        return {"files": answers}

    def lfs_batch(self) -> dict[str, Any]:
        objects = [{"oid": wanted["oid"], "size": wanted["size"]} for wanted in json.loads(self.body)["objects"]]
        for wanted in objects:
            if wanted["oid"] not in self.hub.large_files:
                wanted["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}}
        return {"transfer": "basic", "objects": objects}

    def lfs_put(self, oid: str) -> None:
        self._fail_if_told("lfs")
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Answer({"error": "the content is not what its SHA-256 says"}, 400)
        self.hub.large_files[oid] = self.body

    def commit(self, revision: str) -> dict[str, str]:
        head, files = self.repo.at("main")
        self._fail_if_told("commit")
        if revision != "main" or "create_pr" in self.query:
            raise Answer({"error": "the loopback hub takes commits to main alone"}, 501)
        for line in self.body.splitlines():
            files = self._change(files, head, **json.loads(line))
        commit = self.repo.add_version(files)
        return {"commitOid": commit, "commitUrl": f"{self.repo_url}/commit/{commit}"}

    def _change(self, files: dict[str, File], head: str, key: str, value: dict[str, Any]) -> dict[str, File]:
        path = value.get("path", "")
        match key:
            case "header" if value.get("parentCommit", head) != head:
                raise Answer({"error": "A commit has happened since. Please refresh and try again."}, 412)
            case "header":
                return files
            case "file":
                return files | {path: File(base64.b64decode(value["content"]))}
            case "lfsFile" if value["oid"] in self.hub.large_files:
                return files | {path: File(self.hub.large_files[value["oid"]], lfs=True)}
            case "deletedFile" if path in files:
                return {name: file for name, file in files.items() if name != path}
            case "deletedFolder":
                return {name: file for name, file in files.items() if not name.startswith(path.rstrip("/") + "/")}
        raise Answer({"error": f"cannot commit: {key} {path}"}, 400)

    def resolve(self, revision: str, path: str) -> Answer:
        commit, files = self.repo.at(revision)
        if path not in files:
            raise Answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        content, size = files[path].content, len(files[path].content)
        headers = dict(X_Repo_Commit=commit, ETag=f'"{files[path].oid}"', Accept_Ranges="bytes")
        if files[path].lfs:
            headers |= dict(X_Linked_Etag=f'"{files[path].oid}"', X_Linked_Size=str(size))
        if not (asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))):
            return Answer(content, **headers)
        first, last = asked.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= end:
            raise Answer({"error": "Range not satisfiable"}, 416, Content_Range=f"bytes */{size}")
        return Answer(content[start:end], 206, Content_Range=f"bytes {start}-{end - 1}/{size}", **headers)
