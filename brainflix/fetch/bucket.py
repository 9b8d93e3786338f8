"""A public S3 bucket by plain http: its listing, and files that arrive whole or not at all.

A file grows under its name with ``.part`` behind it. A connection that drops is taken up where it
ended (a Range request for the same version of the object), and the file gets its name when its size
and, where the ETag is an MD5, its MD5 are right.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from brainflix.errors import FetchError

ATTEMPTS = 6  # without any progress in between
TIMEOUT = 60.0  # s without a byte
LISTING = 2**24  # bytes of a listing's page, at most
BLOCK = 2**18
_DROPPED = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    EOFError,
)


@dataclass(frozen=True)
class Remote:
    """An object of a bucket."""

    key: str
    size: int
    etag: str

    @property
    def md5(self) -> str | None:
        """The MD5 of the content, None where it was uploaded in parts and the ETag is none."""
        plain = self.etag.strip('"').lower()
        return plain if len(plain) == 32 and set(plain) <= set("0123456789abcdef") else None


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything else."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> Any:
        secure = req.full_url.startswith("https:")
        if not newurl.startswith("https:" if secure else ("https:", "http:")):
            raise FetchError("the server redirects away from https", found=newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Bucket:
    """A bucket under an address.

    Parameters
    ----------
    base : str
        Address of the bucket; proxies are taken from the environment.
    pause : float
        s before the first new attempt; doubles with each.
    """

    def __init__(self, base: str, pause: float = 1.0) -> None:
        if not base.startswith(("https://", "http://")):
            raise FetchError("the address is not on the web", expected="https://...", found=base)
        self.base, self.pause = base.rstrip("/"), pause
        self._opener = urllib.request.build_opener(_NoDowngrade)

    def _open(self, url: str, headers: dict[str, str]) -> Any:
        named = {"User-Agent": "brainflix", **headers}
        return self._opener.open(urllib.request.Request(url, headers=named), timeout=TIMEOUT)

    def list(self, prefix: str) -> Iterator[Remote]:
        """Yield the objects whose keys start with a prefix.

        Raises
        ------
        FetchError
            When the bucket does not answer, or answers something else than a listing.
        """
        token = ""
        while True:
            query = {"list-type": "2", "prefix": prefix, "max-keys": "1000"}
            if token:
                query["continuation-token"] = token
            url = f"{self.base}?{urllib.parse.urlencode(query)}"
            page = _Listing(self._page(url), url)
            yield from page.objects
            if not page.token:
                return
            if page.token == token:
                raise FetchError("the bucket's listing goes round in circles", where=url)
            token = page.token

    def _page(self, url: str) -> bytes:
        problem: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            try:
                with self._open(url, {}) as answer:
                    content = answer.read(LISTING + 1)
                if len(content) > LISTING:
                    raise FetchError("the bucket's listing does not end", where=url)
                return content
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    raise _refused(url, error) from error
                problem = error
            except _DROPPED as error:
                problem = error
        raise _unreachable(url, problem)

    def fetch(self, remote: Remote, path: Path) -> None:
        """Download an object, going on where an earlier attempt ended.

        Raises
        ------
        FetchError
            When the object is not there or may not be read, the connection drops again and again,
            or the content has another size or MD5 than the listing says.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        for last in (False, True):
            self._complete(remote, part)
            found = _md5(part) if remote.md5 else None
            if found == remote.md5:
                os.replace(part, path)
                return
            part.unlink()
            if last:
                raise FetchError(
                    "a download's content is not what the listing says",
                    expected=f"MD5 {remote.md5}",
                    found=f"MD5 {found}, twice",
                    where=self._url(remote),
                    remedy="try later; the archive, or something in between, alters the file",
                )

    def _url(self, remote: Remote) -> str:
        return f"{self.base}/{urllib.parse.quote(remote.key)}"

    def _complete(self, remote: Remote, part: Path) -> None:
        """Add to a part until it has the object's size."""
        idle, problem = 0, None  # type: int, Exception | None
        if part.is_symlink():
            part.unlink()
        while (have := part.stat().st_size if part.exists() else 0) != remote.size or have == 0:
            if have > remote.size:
                part.unlink()
                have = 0
            if remote.size == 0:
                part.touch()
                return
            if idle == ATTEMPTS:
                raise _unreachable(self._url(remote), problem)
            if idle:
                time.sleep(self.pause * 2 ** (idle - 1))
            try:
                self._append(remote, part, have)
            except urllib.error.HTTPError as error:
                if error.code in (412, 416):  # another version by now, or a part that is none of it
                    part.unlink(missing_ok=True)
                elif error.code < 500 and error.code != 429:
                    raise _refused(self._url(remote), error) from error
                problem = error
            except _DROPPED as error:
                problem = error
            grown = part.exists() and part.stat().st_size > have
            idle = 0 if grown else idle + 1

    def _append(self, remote: Remote, part: Path, have: int) -> None:
        headers = {"If-Match": remote.etag} if remote.etag else {}
        if have:
            headers["Range"] = f"bytes={have}-"
        with self._open(self._url(remote), headers) as answer:
            resumed = answer.status == 206
            if resumed and not _continues(answer.headers.get("Content-Range", ""), have, remote):
                raise EOFError(f"the server sent {answer.headers.get('Content-Range')}")
            start = have if resumed else 0
            with open(part, "ab" if resumed else "wb") as stream:
                while block := answer.read(BLOCK):
                    start += len(block)
                    if start > remote.size:
                        raise EOFError("the server sent more than the object holds")
                    stream.write(block)


def _continues(text: str, have: int, remote: Remote) -> bool:
    """Return whether a Content-Range is the rest of the object that was asked for."""
    return text.strip() == f"bytes {have}-{remote.size - 1}/{remote.size}"


class _Listing:
    """A page of a bucket's listing (ListObjectsV2)."""

    def __init__(self, content: bytes, url: str) -> None:
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise self._bad(url, "a document type")
        try:
            root = ElementTree.fromstring(content)
            space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
            if root.tag != f"{space}ListBucketResult":
                raise self._bad(url, root.tag)
            self.objects = [
                Remote(
                    key=item.findtext(f"{space}Key") or "",
                    size=int(item.findtext(f"{space}Size") or ""),
                    etag=item.findtext(f"{space}ETag") or "",
                )
                for item in root.findall(f"{space}Contents")
            ]
            more = (root.findtext(f"{space}IsTruncated") or "false").lower() == "true"
            self.token = (root.findtext(f"{space}NextContinuationToken") or "") if more else ""
            if more and not self.token:
                raise self._bad(url, "a page that does not tell the next")
        except (ElementTree.ParseError, ValueError) as error:
            raise self._bad(url, f"{content[:60]!r}: {error}") from error

    @staticmethod
    def _bad(url: str, found: str) -> FetchError:
        return FetchError(
            "the address does not answer with a bucket's listing",
            expected="ListBucketResult, XML",
            found=found,
            where=url,
            remedy="check --base, and whether a proxy answers in the bucket's place",
        )


def local_path(key: str, prefix: str, folder: Path) -> Path | None:
    """Return where an object belongs, None for a folder's marker.

    Raises
    ------
    FetchError
        When the key leads out of the folder, by its name or by a link that lies there.
    """
    rest = key.removeprefix(prefix).lstrip("/")
    if not rest or rest.endswith("/"):
        return None
    name = PurePosixPath(rest)
    bad = {"..", "."} & set(rest.split("/"))
    path = folder / name
    inside = Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(folder))
    if not key.startswith(prefix) or bad or "\\" in rest or "\0" in rest or not inside:
        raise FetchError(
            "an object of the bucket would be written outside of the folder",
            expected=f"names within {folder}",
            found=key[:200],
            remedy="do not use this bucket",
        )
    return path


def is_there(remote: Remote, path: Path) -> bool:
    """Return whether an object was downloaded before."""
    return path.is_file() and path.stat().st_size == remote.size


def _md5(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _refused(url: str, error: urllib.error.HTTPError) -> FetchError:
    return FetchError(
        "the server refuses a file",
        expected="200 or 206",
        found=f"{error.code} {error.reason}",
        where=url,
        remedy="check the study, part and subject; the archive may have moved or withdrawn it",
    )


def _unreachable(url: str, problem: Exception | None) -> FetchError:
    return FetchError(
        "the connection fails again and again",
        found=f"{type(problem).__name__}: {problem}",
        where=url,
        remedy="run the command again later; it goes on where it ended",
    )
