"""A public S3 bucket through obstore: its listing, and files that arrive whole or not at all.

Requests, retries, proxies and the listing's pages are obstore's, which is an optional extra
(``fetch``). Kept here is what it does not do: a file grows under its name with ``.part`` behind it,
a connection that drops in the middle of it is taken up where it ended (a request for the rest of
the same version of the object), and the file gets its name when its size and, where the ETag is an
MD5, its MD5 are right.
"""

from __future__ import annotations

import hashlib
import os
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from brainflix.errors import FetchError

ATTEMPTS = 6  # without any progress in between
SILENCE = timedelta(seconds=60)  # without a byte, after which a connection counts as dropped
LONGEST = timedelta(days=2)  # of one request, which may be a file of many GB
BLOCK = 2**14  # bytes asked of obstore at a time: what a dropped connection can lose


@dataclass(frozen=True)
class Remote:
    """An object of a bucket."""

    key: str
    size: int
    etag: str

    @property
    def md5(self) -> str | None:
        """The MD5 of the content; None where it was uploaded in parts, whose ETag is another."""
        plain = self.etag.strip('"').lower()
        return plain if len(plain) == 32 and set(plain) <= set("0123456789abcdef") else None


class Bucket:
    """A bucket under an address.

    Parameters
    ----------
    base : str
        Address of the bucket, its name last: ``https://s3.amazonaws.com/openneuro.org``. Proxies
        are taken from the environment.
    pause : float
        s before the first new attempt; it doubles with each.

    Raises
    ------
    FetchError
        When the address is not on the web, or the extra ``fetch`` is not installed.
    """

    def __init__(self, base: str, pause: float = 1.0) -> None:
        secure = base.startswith("https://")
        if not secure and not base.startswith("http://"):
            raise FetchError("the address is not on the web", expected="https://...", found=base)
        self.base, self.pause = base.rstrip("/"), pause
        self._obstore = _import_obstore()
        endpoint, _, name = self.base.rpartition("/")
        self._store = self._obstore.store.S3Store(
            name,
            endpoint=endpoint,
            region="us-east-1",
            skip_signature=True,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": not secure,  # from https, no redirect leads to anything else
                "connect_timeout": SILENCE,
                "read_timeout": SILENCE,
                "timeout": LONGEST,
                "user_agent": "brainflix",
            },
            retry_config={
                "max_retries": ATTEMPTS - 1,
                "backoff": {
                    "init_backoff": timedelta(seconds=pause),
                    "max_backoff": timedelta(seconds=pause * 2**ATTEMPTS),
                    "base": 2.0,
                },
            },
        )

    def list(self, prefix: str) -> list[Remote]:
        """Return the objects whose keys start with a prefix, without the markers of folders.

        Raises
        ------
        FetchError
            When the bucket does not answer, answers something else than a listing, or holds a key
            that no path can have.
        """
        try:
            remotes = [
                Remote(str(item["path"]), int(item["size"]), str(item.get("e_tag") or ""))
                for item in self._items(prefix)
            ]
        except self._errors() as error:
            raise _unlisted(f"{self.base}, {prefix}", error) from error
        # A marker is an empty object "folder/", whose key arrives without the slash.
        folders = {str(parent) for one in remotes for parent in PurePosixPath(one.key).parents}
        folders |= {prefix.rstrip("/")} if prefix.endswith("/") else set()
        return [one for one in remotes if one.size or one.key not in folders]

    def _items(self, prefix: str) -> Iterator[Any]:
        """Yield obstore's records; it lists whole folders, so a prefix within a name is matched."""
        if prefix.endswith("/"):
            yield from self._folder(prefix)
            return
        level = self._obstore.list_with_delimiter(self._store, prefix.rpartition("/")[0])
        yield from (item for item in level["objects"] if item["path"].startswith(prefix))
        for folder in level["common_prefixes"]:
            if folder.startswith(prefix):
                yield from self._folder(folder)

    def _folder(self, folder: str) -> Iterator[Any]:
        for chunk in self._obstore.list(self._store, folder.rstrip("/")):
            yield from chunk

    def _errors(self) -> tuple[type[Exception], ...]:
        return (self._obstore.exceptions.BaseError, FileNotFoundError)

    def fetch(self, remote: Remote, path: Path) -> None:
        """Download an object, going on where an earlier attempt ended.

        Raises
        ------
        FetchError
            When the object does not exist or may not be read, the connection drops again and
            again, or the content has another size or MD5 than the listing says.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        for last in (False, True):
            self._complete(remote, part)
            md5 = _md5(part) if remote.md5 else None
            if md5 == remote.md5:
                os.replace(part, path)
                return
            part.unlink()
            if last:
                raise FetchError(
                    "a download's content is not what the listing says",
                    expected=f"MD5 {remote.md5}",
                    found=f"MD5 {md5}, twice",
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
            except self._errors() as error:
                self._judge(error, remote, part, have)
                problem = error
            except EOFError as error:
                problem = error
            grown = part.exists() and part.stat().st_size > have
            idle = 0 if grown else idle + 1

    def _judge(self, error: Exception, remote: Remote, part: Path, have: int) -> None:
        """Raise for an answer that is final; drop a part that the server does not continue."""
        kinds = self._obstore.exceptions
        final = (
            FileNotFoundError,
            kinds.NotFoundError,
            kinds.PermissionDeniedError,
            kinds.UnauthenticatedError,
        )
        if isinstance(error, final):
            raise _refused(self._url(remote), error) from error
        if "retries, max_retries" in str(error):  # obstore's own attempts are used up
            raise _unreachable(self._url(remote), error) from error
        unchanged = part.exists() and part.stat().st_size == have
        if have and unchanged:  # another version by now, or a rest that the server does not send
            part.unlink()

    def _append(self, remote: Remote, part: Path, have: int) -> None:
        options: dict[str, Any] = {"if_match": remote.etag} if remote.etag else {}
        if have:
            options["range"] = {"offset": have}
        answer = self._obstore.get(self._store, remote.key, options=options)
        if tuple(answer.range) != (have, remote.size):
            raise EOFError(f"the server sent bytes {answer.range} of {remote.size}")
        with open(part, "ab" if have else "wb") as stream:
            for block in answer.stream(min_chunk_size=BLOCK):
                have += len(block)
                if have > remote.size:
                    raise EOFError("the server sent more than the object holds")
                stream.write(block)


def _import_obstore() -> Any:
    """Return the module obstore, which the extra ``fetch`` installs."""
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise FetchError(
            "downloading needs a package that is not installed",
            expected="obstore",
            found=str(error),
            remedy="install it: pip install 'brainflix[fetch]'; or download the files by hand from "
            "the page that the study's description names",
        ) from error
    return obstore


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


def _first_line(error: Exception | None) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:400]}"


def _unlisted(where: str, error: Exception) -> FetchError:
    return FetchError(
        "the bucket's listing cannot be read",
        expected="a listing of S3 (ListObjectsV2), all of its keys names of files",
        found=_first_line(error),
        where=where,
        remedy="check --base, and whether a proxy answers in the bucket's place",
    )


def _refused(url: str, error: Exception) -> FetchError:
    return FetchError(
        "the server refuses a file",
        expected="200 or 206",
        found=_first_line(error),
        where=url,
        remedy="check the study, part and subject; the archive may have moved or withdrawn it",
    )


def _unreachable(url: str, problem: Exception | None) -> FetchError:
    return FetchError(
        "the connection fails again and again",
        found=_first_line(problem),
        where=url,
        remedy="run the command again later; it goes on where it ended",
    )
