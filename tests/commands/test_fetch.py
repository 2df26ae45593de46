"""Fetching: from a real HTTP server, verified, kept whole or not at all."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adrs.commands.fetch import FetchError, fetch
from adrs.main import main
from evaluators.workloads import azure
from evaluators.workloads.catalogue import CATALOGUE, PublicTrace

CONTENT = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.68,374,44"


class Upstream(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/gone":
            self.send_error(404)
            return
        self.send_response(200)
        length = len(CONTENT) + (100 if self.path == "/cut" else 0)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def published(url, sha256=None):
    return PublicTrace("t", "t.csv", url, sha256, "CC-BY 4.0", "a paper")


def test_a_verified_trace_is_kept_where_replay_finds_it(server, tmp_path):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    path = fetch(published(f"{server}/t", sha256), tmp_path / "traces")
    assert path.read_bytes() == CONTENT
    assert azure.build(trace="t", data=str(tmp_path)).read().prompt_tokens[0] == 374


def test_other_bytes_than_published_are_not_kept_and_the_old_copy_stays(
    server, tmp_path
):
    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(FetchError, match="expected 0000; not kept"):
        fetch(published(f"{server}/t", "0000"), tmp_path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("page", ["gone", "cut"])
def test_a_failing_download_says_the_way_out_and_leaves_nothing(server, tmp_path, page):
    with pytest.raises(FetchError, match=r"name it with workload\.data=PATH"):
        fetch(published(f"{server}/{page}"), tmp_path / "traces")
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_error_is_one_line(tmp_path):
    with pytest.raises(FetchError, match=r"cannot get http://127.0.0.1:9/t") as caught:
        fetch(published("http://127.0.0.1:9/t"), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match=r"cannot write .*; choose data=FOLDER"):
        fetch(published(f"{server}/t"), tmp_path / "file" / "traces")


def test_an_unknown_trace_lists_the_known_ones(capsys, tmp_path):
    assert main(["fetch", "nosuch", f"data={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(trace.name in error for trace in CATALOGUE)
