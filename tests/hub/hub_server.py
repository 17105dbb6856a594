"""A Hub for tests: the endpoints that huggingface_hub asks for a model, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Hub:
    """What lies on the server.

    Attributes:
        url: of the server.
        repos: files of every model, by name.
        announced: sizes to announce in the place of the true ones, by file name.
        private: models that only those with the token see.
        asked: paths of the requests.
    """

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    announced: dict[str, int] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def commit(self, repo: str) -> str:
        """Return the commit of a model's files."""
        content = repr(sorted(self.repos[repo].items())).encode()
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()

    def listing(self, repo: str) -> list[dict[str, Any]]:
        """Return the files of a model as the tree endpoint lists them."""
        return [
            {
                "type": "file",
                "path": name,
                "size": self.announced.get(name, len(content)),
                "oid": _etag(content),
            }
            for name, content in self.repos[repo].items()
        ]


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Yield a Hub that answers until the block ends."""
    hub = Hub()

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""

    def answer(self, content: object, code: int = 200, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, code: int, reason: str) -> None:
        self.answer({"error": reason}, code, X_Error_Code=reason, X_Error_Message=reason)

    def known(self, repo: str, revision: str = "main") -> bool:
        token = self.headers.get("Authorization")
        if repo not in self.served.repos or (repo in self.served.private and token is None):
            self.refuse(401, "RepoNotFound")
            return False
        if revision not in ("main", self.served.commit(repo)):
            self.refuse(404, "RevisionNotFound")
            return False
        return True

    def do_GET(self) -> None:
        hub, path = self.served, self.path.partition("?")[0]
        hub.asked.append(f"{self.command} {path}")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            repo = match[1]
            if self.known(repo, match[2] or "main"):
                files = [{"rfilename": e["path"], "size": e["size"]} for e in hub.listing(repo)]
                self.answer({"id": repo, "sha": hub.commit(repo), "siblings": files})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
            if self.known(match[1], match[2]):
                self.answer(hub.listing(match[1]))
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if self.known(match[1], match[2]):
                content = hub.repos[match[1]][match[3]]
                self.answer(content, ETag=f'"{_etag(content)}"', X_Repo_Commit=hub.commit(match[1]))
        else:
            self.refuse(404, "EntryNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        hub = self.served
        hub.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") is None:
            self.refuse(401, "Unauthorized")
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization', 'ann')}/{asked['name']}"
            hub.repos.setdefault(repo, {})
            if asked.get("private") or asked.get("visibility") == "private":
                hub.private.add(repo)
            self.answer({"url": f"{hub.url}/{repo}"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self.answer({"files": modes})
        else:
            repo = re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", self.path)[1]
            lines = [json.loads(line) for line in body.splitlines()]
            new = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            hub.repos[repo].update(new)
            commit = hub.commit(repo)
            self.answer({"commitUrl": f"{hub.url}/{repo}/commit/{commit}", "commitOid": commit})
