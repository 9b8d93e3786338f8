"""``brainflix fetch`` against a local server that drops connections, lies and refuses."""

import hashlib
import http.server
import sys
import threading
import urllib.parse
from xml.sax.saxutils import escape

import numpy as np
import pytest
from support.command_line import brainflix

from brainflix.errors import ConfigError, FetchError
from brainflix.fetch import bucket as module
from brainflix.fetch.bucket import Bucket, Remote, local_path
from brainflix.fetch.catalogue import STUDIES
from brainflix.fetch.command import fetch

ROOT = "ds005165/"
BETAS = f"{ROOT}derivatives/versionB/fsLR32k/GLM"
CONTENT = {
    f"{ROOT}dataset_description.json": b'{"Name": "tiny"}',
    f"{ROOT}README": b"",
    f"{ROOT}derivatives/stimuli_metadata/annotations.json": b"{}" * 40,
    f"{ROOT}derivatives/stimuli_metadata/frames/0001.jpg": b"a picture",
    f"{ROOT}derivatives/stimuli_metadata/": b"",
    f"{BETAS}/sub-01/prepared_betas/a b+ü.pkl": np.random.default_rng(0).bytes(300_000),
    f"{BETAS}/sub-02/prepared_betas/c.pkl": b"c" * 5000,
    f"{ROOT}derivatives/versionB/fsLR32k/GLM/sub-01/other/large.nii": b"not asked for",
}
BIG = f"{BETAS}/sub-01/prepared_betas/a b+ü.pkl"


class Handler(http.server.BaseHTTPRequestHandler):
    """A bucket; ``server.faults`` holds what goes wrong with a key, one entry per request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        if address.query:
            self.list(dict(urllib.parse.parse_qsl(address.query)))
            return
        key = urllib.parse.unquote(address.path).removeprefix("/bucket/")
        content = self.server.content.get(key)
        self.server.requests.append((key, self.headers.get("Range")))
        fault = next(iter(self.server.faults.get(key, [])), None)
        if fault is not None:
            self.server.faults[key].pop(0)
        if content is None or isinstance(fault, int):
            self.answer(fault or 404, b"no")
            return
        if self.headers.get("If-Match") not in (None, etag(content)):
            self.answer(412, b"another version")
            return
        self.send(content, fault)

    def send(self, content, fault):
        start, asked = 0, self.headers.get("Range")
        if asked and fault != "ignores range":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.answer(416, b"")
                return
        body = content[start:]
        if fault == "lies":
            body = bytes(len(body))
        if fault == "too much":
            body = body + b"more"
        self.send_response(206 if start else 200)
        if start:
            first = start + 7 if fault == "other range" else start
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "drops":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(1)
        else:
            self.wfile.write(body)

    def list(self, query):
        if self.server.listing is not None:
            self.answer(200, self.server.listing)
            return
        if self.server.faults.get("list"):
            self.answer(self.server.faults["list"].pop(0), b"")
            return
        prefix, delimiter = query["prefix"], query.get("delimiter")
        matching = [key for key in sorted(self.server.content) if key.startswith(prefix)]
        if delimiter:  # the first folder below the prefix in place of all that it holds
            matching = sorted({folded(key, prefix, delimiter) for key in matching})
        start = int(query.get("continuation-token", 0))
        page, more = matching[start : start + 2], start + 2 < len(matching)
        items = "".join(
            f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
            if delimiter and key.endswith(delimiter) and key != prefix
            else self.item(key)
            for key in page
        )
        token = f"<NextContinuationToken>{start + 2}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        )
        self.answer(200, text.encode())

    def item(self, key):
        return (
            f"<Contents><Key>{escape(key)}</Key><ETag>&quot;{self.tag(key)}&quot;</ETag>"
            "<LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            f"<Size>{len(self.server.content[key])}</Size></Contents>"
        )

    def tag(self, key):
        return self.server.tags.get(key) or etag(self.server.content[key]).strip('"')

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def folded(key, prefix, delimiter):
    head, found, _ = key.removeprefix(prefix).partition(delimiter)
    return prefix + head + found


def etag(content):
    return f'"{hashlib.md5(content).hexdigest()}"'


@pytest.fixture
def server(monkeypatch):
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.content, running.faults, running.tags = dict(CONTENT), {}, {}
    running.requests, running.listing = [], None
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    running.base = f"http://127.0.0.1:{running.server_port}/bucket"
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def run(server, folder, **options):
    given = {"part": None, "subjects": ("sub-01",), "dry_run": False, "jobs": 2, "pause": 0.001}
    return fetch("bold_moments", folder=folder, base=server.base, **{**given, **options})


def on_disk(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


WANTED = {
    key.removeprefix(ROOT): content
    for key, content in CONTENT.items()
    if not key.endswith(("/", ".jpg", "large.nii")) and "sub-02" not in key
}


def test_one_subject_is_fetched_and_nothing_twice(server, tmp_path, capsys):
    plan = run(server, tmp_path)
    assert on_disk(tmp_path) == WANTED
    assert plan.withheld == 1
    text = capsys.readouterr().out
    assert "boldmomentsdataset.csail.mit.edu" in text  # the clips are asked for there
    assert "agree to its terms" in text
    assert str(tmp_path / "stimulus_set/stimuli") in text
    before = len(server.requests)
    again = run(server, tmp_path)
    assert (len(again.items), len(again.present)) == (0, len(WANTED))
    assert len(server.requests) == before


def test_all_subjects_by_default(server, tmp_path):
    server.content[f"{BETAS}/sub-01/prepared_betas/"] = b""
    run(server, tmp_path, subjects=())
    found = on_disk(tmp_path)
    assert "derivatives/versionB/fsLR32k/GLM/sub-02/prepared_betas/c.pkl" in found
    assert not [name for name in found if name.endswith("large.nii")]


def test_a_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.base = "http://archive.invalid/bucket"  # a name that only the proxy knows
    run(server, tmp_path)
    assert on_disk(tmp_path) == WANTED


def test_a_dry_run_fetches_nothing(server, tmp_path, capsys):
    plan = run(server, tmp_path / "new", dry_run=True)
    assert plan.size == sum(map(len, WANTED.values()))
    assert not (tmp_path / "new").exists()
    assert "300 kB" in capsys.readouterr().out
    assert not [key for key, _ in server.requests]


def test_dropped_connections_are_taken_up_where_they_ended(server, tmp_path):
    server.faults[BIG] = ["drops", "drops", 503, "drops"]
    run(server, tmp_path)
    assert on_disk(tmp_path) == WANTED
    ranges = [asked for key, asked in server.requests if key == BIG]
    starts = [0 if asked is None else int(asked[6:-1]) for asked in ranges]
    half = len(CONTENT[BIG]) // 2  # what the server sends of a rest before it drops
    assert starts[0] == 0
    assert half - module.BLOCK < starts[1] <= half
    assert starts[1] < starts[2] == starts[3] < starts[4]  # nothing came with the 503


@pytest.mark.parametrize("fault", ["ignores range", "other range", "too much", 416, 412])
def test_a_server_that_resumes_wrongly_is_not_believed(server, tmp_path, fault):
    server.faults[BIG] = ["drops", fault]
    run(server, tmp_path)
    assert on_disk(tmp_path) == WANTED


def test_an_earlier_part_is_continued_and_a_wrong_one_replaced(server, tmp_path):
    path = tmp_path / BIG.removeprefix(ROOT)
    path.parent.mkdir(parents=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(CONTENT[BIG][:1000])
    run(server, tmp_path)
    assert (BIG, "bytes=1000-") in server.requests
    assert on_disk(tmp_path) == WANTED
    for wrong in (b"x" * 1000, b"x" * len(CONTENT[BIG]), b"x" * 400_000):
        path.unlink()
        part.write_bytes(wrong)
        run(server, tmp_path)
        assert on_disk(tmp_path) == WANTED


def test_wrong_content_is_refused_and_not_left_behind(server, tmp_path):
    server.faults[BIG] = ["lies", "lies"]
    with pytest.raises(FetchError, match="content is not what the listing says") as caught:
        run(server, tmp_path)
    assert "MD5" in str(caught.value)
    assert BIG.removeprefix(ROOT) not in on_disk(tmp_path)
    server.faults[BIG] = ["lies"]  # once: the second attempt is right
    run(server, tmp_path)
    assert on_disk(tmp_path) == WANTED


def test_an_object_uploaded_in_parts_is_judged_by_its_size(server, tmp_path):
    server.tags[BIG] = "0123456789abcdef0123456789abcdef-2"
    server.faults[BIG] = [412, "drops"]
    with pytest.raises(FetchError):
        run(server, tmp_path)  # the server knows no such version: If-Match fails for ever
    remote = Remote(BIG, 300_000, "")
    Bucket(server.base, 0.001).fetch(remote, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT[BIG]
    assert Remote(BIG, 1, '"0123456789abcdef0123456789abcdef-2"').md5 is None


@pytest.mark.parametrize(("code", "words"), [(404, "404"), (403, "403")])
def test_a_refused_file_is_named_and_the_others_are_fetched(server, tmp_path, code, words):
    server.faults[BIG] = [code]
    with pytest.raises(FetchError, match="1 of 4 files") as caught:
        run(server, tmp_path)
    assert words in str(caught.value)
    assert urllib.parse.quote(BIG) in str(caught.value)
    assert "dataset_description.json" in on_disk(tmp_path)


def test_a_server_that_always_drops_is_given_up(server, tmp_path):
    server.faults[BIG] = ["drops"] + [500] * module.ATTEMPTS
    with pytest.raises(FetchError, match="connection fails again and again"):
        run(server, tmp_path)
    server.requests.clear()
    run(server, tmp_path)
    (asked,) = [asked for key, asked in server.requests if key == BIG]
    assert asked is not None  # what came before is not thrown away
    assert on_disk(tmp_path) == WANTED


def test_a_listing_that_fails_once_is_asked_for_again(server, tmp_path):
    server.faults["list"] = [503, 500]
    run(server, tmp_path)
    assert on_disk(tmp_path) == WANTED
    server.faults["list"] = [403]
    with pytest.raises(FetchError, match="listing cannot be read"):
        run(server, tmp_path)


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (b"<html>please log in</html>", "no such files"),
        (b"not xml", "bucket's listing"),
        (b"", "bucket's listing"),
        (b'<!DOCTYPE a [<!ENTITY b "cccc">]><ListBucketResult/>', "no such files"),
        (b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "no such files"),
        (
            b"<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
            "bucket's listing",
        ),
    ],
)
def test_an_answer_that_is_not_a_listing_is_refused(server, tmp_path, listing, words):
    server.listing = listing
    with pytest.raises(FetchError, match=words) as caught:
        run(server, tmp_path)
    assert "proxy" in caught.value.remedy


@pytest.mark.parametrize(
    "key", ["../../evil", "a/../../evil", "a\\..\\evil", "a/./b", "..", "a\0b"]
)
def test_keys_that_lead_out_of_the_folder_are_refused(tmp_path, key):
    with pytest.raises(FetchError, match="outside of the folder"):
        local_path(ROOT + key, ROOT, tmp_path)


def test_a_link_in_the_folder_leads_nowhere_else(server, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "derivatives").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FetchError, match="outside of the folder"):
        run(server, folder)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_hostile_bucket_writes_nothing_outside(server, tmp_path):
    server.content[f"{ROOT}README/../../../evil"] = b"x"
    with pytest.raises(FetchError, match="listing cannot be read") as caught:
        run(server, tmp_path / "study")
    assert "evil" in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_subject_or_part_that_is_not_there(server, tmp_path):
    with pytest.raises(FetchError, match="no such files"):
        run(server, tmp_path, subjects=("sub-77",))
    with pytest.raises(ConfigError, match="no such part"):
        run(server, tmp_path, part="everything")
    with pytest.raises(ConfigError, match="not a subject's label"):
        run(server, tmp_path, subjects=("../x",))


def test_without_the_extra_the_catalogue_works_and_a_download_names_it(
    server, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert brainflix("fetch") == 0
    assert brainflix("fetch", "cc2017", "--to", tmp_path) == 0
    capsys.readouterr()
    to = ("--to", tmp_path / "study", "--base", server.base)
    assert brainflix("fetch", "bold_moments", "--subject", "sub-01", *to) == 2
    assert "brainflix[fetch]" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_on_the_command_line(server, tmp_path, capsys):
    assert brainflix("fetch") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in STUDIES)
    to = ("--to", tmp_path / "study", "--base", server.base)
    assert brainflix("fetch", "bold_moments", "--subject", "sub-01", *to) == 0
    assert on_disk(tmp_path / "study") == WANTED
    assert brainflix("fetch", "ds005165", "--part", "derivatives/stimuli_metadata", *to) == 0
    assert brainflix("fetch", "nonsense", *to) == 2
    assert "cc2017" in capsys.readouterr().err
    assert brainflix("fetch", "bold_moments", "--base", "file:///etc", "--to", tmp_path) == 2


@pytest.mark.parametrize("name", ["cc2017", "god", "bold5000"])
def test_what_cannot_be_fetched_is_told_with_page_terms_and_folder(name, tmp_path, capsys):
    study = STUDIES[name]
    assert study.by_hand
    if not study.accession:
        assert brainflix("fetch", name, "--to", tmp_path) == 0
        text = capsys.readouterr().out
        for part in study.by_hand:
            assert part.page in text
            assert part.terms in text
            assert str(tmp_path / part.folder) in text
        assert not list(tmp_path.iterdir())


def test_each_study_of_the_catalogue_has_its_reader():
    from brainflix.components import READERS

    for study in STUDIES.values():
        assert study.reader in READERS
        assert study.citation
        assert study.accession == "" or study.parts
