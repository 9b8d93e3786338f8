"""The command ``brainflix fetch``: what to download, what to ask for, and where it goes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from brainflix.check.table import size
from brainflix.console import announce, track
from brainflix.errors import ConfigError, FetchError
from brainflix.fetch.bucket import Bucket, Remote, is_there, local_path
from brainflix.fetch.catalogue import STUDIES, Published

MOVIES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
MEDIA = frozenset((*MOVIES, *PICTURES))
SHOWN = 20  # files that a dry run lists
_ACCESSION = re.compile(r"^ds\d{6}$")
_SUBJECT = re.compile(r"^[A-Za-z0-9-]+$")


@dataclass(frozen=True)
class Download:
    """An object and where it goes."""

    remote: Remote
    path: Path


@dataclass(frozen=True)
class FetchPlan:
    """What a call will do.

    Parameters
    ----------
    items : tuple of Download
        What is to be downloaded.
    present : tuple of Download
        What was downloaded before.
    withheld : int
        Films and pictures that lie in the bucket and are not fetched, see :data:`MEDIA`.
    """

    items: tuple[Download, ...]
    present: tuple[Download, ...]
    withheld: int

    @property
    def size(self) -> int:
        """Bytes to be downloaded."""
        return sum(item.remote.size for item in self.items)


def find_study(name: str, part: str | None) -> tuple[Published, tuple[str, ...]]:
    """Return a study of the catalogue, or an accession of OpenNeuro, and its prefixes.

    Raises
    ------
    ConfigError
        For an unknown study or part.
    """
    if _ACCESSION.match(name):
        study = Published(name, "bids", "see its page", "see its page", accession=name)
        return study, (part or "{subject}/",)
    if name not in STUDIES:
        raise ConfigError(
            "unknown study",
            expected=", ".join(STUDIES) + ", or an accession of OpenNeuro such as ds005165",
            found=name,
        )
    study = STUDIES[name]
    if part is not None and part not in study.parts:
        raise ConfigError(
            f"{name} has no such part", expected=", ".join(study.parts) or "none", found=part
        )
    chosen = part or next(iter(study.parts), None)
    return study, study.parts[chosen] if chosen else ()


def make_plan(
    bucket: Bucket,
    study: Published,
    prefixes: Sequence[str],
    subjects: Sequence[str],
    folder: Path,
) -> FetchPlan:
    """List the bucket and return what is missing in the folder.

    Raises
    ------
    FetchError
        When the bucket cannot be listed, a subject has no files, or a key leads out of the folder.
    """
    root = f"{study.accession}/"
    remotes: dict[str, Remote] = {}
    for prefix in (*study.always, *prefixes):
        before, named, after = (root + prefix).partition("{subject}")
        chosen = [before + subject + after for subject in subjects] if named and subjects else []
        for start in chosen or [f"{before}sub-" if named else before]:
            pattern = re.compile(re.escape(before) + r"sub-[A-Za-z0-9]+" + re.escape(after))
            listed = {
                remote.key: remote
                for remote in bucket.list(start)
                if chosen or not named or pattern.match(remote.key)
            }
            if chosen and not listed:
                raise FetchError(
                    "the archive has no such files",
                    expected="files of the subject",
                    found="nothing",
                    where=f"{bucket.base}, {start}",
                    remedy="compare the subject's label and the part with the archive's page, and "
                    "check whether a proxy answers in the archive's place",
                )
            remotes.update(listed)
    return _sort(remotes.values(), root, folder)


def _sort(remotes: Iterable[Remote], root: str, folder: Path) -> FetchPlan:
    items, present, withheld = [], [], 0
    for remote in remotes:
        path = local_path(remote.key, root, folder)
        if path is None:
            continue
        if path.suffix.lower() in MEDIA:
            withheld += 1
        elif is_there(remote, path):
            present.append(Download(remote, path))
        else:
            items.append(Download(remote, path))
    return FetchPlan(tuple(items), tuple(present), withheld)


def download(bucket: Bucket, plan: FetchPlan, folder: Path, jobs: int) -> None:
    """Download all that is missing, several files at a time.

    Raises
    ------
    FetchError
        When the disk is too small or a file fails; the others are finished first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if plan.size > free:
        raise FetchError(
            "the disk is too small",
            expected=f"{plan.size / 1e9:.1f} GB",
            found=f"{free / 1e9:.1f} GB free",
            where=folder,
            remedy="fetch fewer subjects (--subject), or to another disk (--to)",
        )
    failed: list[FetchError] = []
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        running = [pool.submit(bucket.fetch, item.remote, item.path) for item in plan.items]
        for done in track(as_completed(running), "fetch", len(running)):
            error = done.exception()
            if isinstance(error, FetchError):
                failed.append(error)
            elif error is not None:
                raise error
    if failed:
        first = failed[0]
        raise FetchError(
            f"{len(failed)} of {len(plan.items)} files could not be fetched: {first.what}",
            expected=first.expected,
            found=first.found,
            where=first.where,
            remedy=first.remedy,
        )


def describe(name: str, study: Published, folder: Path) -> str:
    """Return licence, citation and origin of a study as text."""
    lines = [study.title, f"  licence: {study.licence}", f"  cite: {study.citation}"]
    if study.accession:
        page = f"https://openneuro.org/datasets/{study.accession}"
        lines.append(f"  fetched without a form: {page} (parts: {', '.join(study.parts) or 'any'})")
    else:
        lines.append("  nothing of it can be fetched by address")
    for part in study.by_hand:
        lines += [
            f"  by hand: {part.what}",
            f"    page:   {part.page}",
            f"    terms:  {part.terms}",
            f"    folder: {folder / part.folder}",
        ]
    lines.append(f"  then: brainflix check {name} --reader {study.reader} --root {folder}")
    return "\n".join(lines)


def listing() -> str:
    """Return the catalogue, one line per study."""
    lines = []
    for name, study in STUDIES.items():
        how = f"{study.accession}: {', '.join(study.parts)}" if study.accession else "by hand"
        lines.append(f"{name:14} {study.title} ({how})")
    return "\n".join([*lines, "or an accession of OpenNeuro, such as ds005165"])


def fetch(
    name: str,
    *,
    part: str | None,
    subjects: Sequence[str],
    folder: Path,
    base: str,
    dry_run: bool,
    jobs: int,
    pause: float = 1.0,
) -> FetchPlan | None:
    """Fetch the open part of a study and print where the rest is; return what was done.

    Raises
    ------
    ConfigError
        For an unknown study or part, or an impossible subject label.
    FetchError
        When something cannot be fetched.
    """
    study, prefixes = find_study(name, part)
    for subject in subjects:
        if not _SUBJECT.match(subject):
            raise ConfigError("this is not a subject's label", expected="sub-01", found=subject)
    print(describe(name, study, folder))
    if not study.accession:
        return None
    bucket = Bucket(base, pause)
    plan = make_plan(bucket, study, prefixes, subjects, folder)
    if not plan.items and not plan.present:
        raise FetchError(
            "the archive has no such files",
            expected=", ".join(prefixes),
            found="nothing",
            where=f"{base}, {study.accession}",
        )
    have = sum(item.remote.size for item in plan.present)
    print(
        f"to fetch: {len(plan.items)} files, {size(plan.size)}; "
        f"downloaded before: {len(plan.present)} files, {size(have)}"
    )
    if plan.withheld:
        print(
            f"not downloaded: {plan.withheld} films and pictures, which may have terms of their own"
        )
    if dry_run:
        for item in plan.items[:SHOWN]:
            print(f"  {size(item.remote.size):>9}  {item.path}")
        if len(plan.items) > SHOWN:
            print(f"  and {len(plan.items) - SHOWN} more")
        return plan
    if plan.items:
        announce("fetch", f"reads {len(plan.items)} files, {size(plan.size)}, of {base}")
        download(bucket, plan, folder, jobs)
    announce("fetch", f"has written {len(plan.items) + len(plan.present)} files to {folder}")
    return plan
