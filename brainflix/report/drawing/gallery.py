"""The pictures of a page's clips: good ones of a chosen few, then what there is room for.

A clip is a strip of its frames, which the page moves along; the page holds all pictures in itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brainflix.clips.clips import even_frames
from brainflix.report.contents import SHOWN, SubjectGallery
from brainflix.report.drawing.filmstrips import ENCODINGS, Frames, data_url, fit, strip

GalleryKey = tuple[str, int, str]  # subject, clip's place, system
CHOSEN_BUDGET = 4_500_000  # characters of the chosen clips' pictures
REST_BUDGET = 3_500_000  # characters of all other pictures
_FRAMES, _SIDE = 48, 256  # at most, of a clip that plays
_PROBED = 12  # clips from which the size of all is estimated
_PIXELATED = 128  # sides up to this are drawn with sharp pixels


@dataclass(frozen=True)
class EncodedClip:
    """A clip as a strip in a data URL."""

    url: str
    frames: int
    height: int
    width: int

    @property
    def small(self) -> bool:
        """Whether its pixels are drawn sharp."""
        return max(self.height, self.width) <= _PIXELATED


@dataclass(frozen=True)
class GalleryEncoding:
    """How clips are stored: the longer side, WebP's quality, frames, and whether of all systems."""

    side: int
    quality: int
    frames: int = _FRAMES
    every_system: bool = True


CHOSEN = tuple(GalleryEncoding(each.side, each.quality) for each in ENCODINGS)
REST = (
    GalleryEncoding(96, 60),
    GalleryEncoding(64, 60),
    GalleryEncoding(64, 45),
    GalleryEncoding(64, 45, every_system=False),
    GalleryEncoding(48, 45, frames=6, every_system=False),
    GalleryEncoding(48, 45, frames=1, every_system=False),
    GalleryEncoding(32, 40, frames=1, every_system=False),
)


def encode_gallery(
    galleries: Sequence[SubjectGallery], chosen: Collection[tuple[str, int]], system: str
) -> dict[GalleryKey, EncodedClip]:
    """Return the pictures of all clips that the page has room for.

    Parameters
    ----------
    galleries : sequence of SubjectGallery
    chosen : collection of (str, int)
        Subject and place of the clips that are shown first.
    system : str
        The system under evaluation, which is shown with the true clip where there is no room for
        the others.
    """
    places = [(each, k) for each in galleries for k in range(len(each.ids))]
    first = [(each, k) for each, k in places if (each.name, k) in chosen]
    rest = [(each, k) for each, k in places if (each.name, k) not in chosen]
    found = _encoded(first, _best(first, CHOSEN, CHOSEN_BUDGET, system) or CHOSEN[-1], system)
    encoding = _best(rest, REST, REST_BUDGET, system)
    return found | (_encoded(rest, encoding, system) if encoding else {})


def _best(
    places: Sequence[tuple[SubjectGallery, int]],
    encodings: Sequence[GalleryEncoding],
    budget: int,
    system: str,
) -> GalleryEncoding | None:
    """Return the best encoding within a budget, judged by a few clips; None where none fits."""
    if not places:
        return None
    probed = [places[k] for k in np.unique(even_frames(len(places), min(len(places), _PROBED)))]
    for encoding in encodings:
        sizes = [len(each.url) for each in _encoded(probed, encoding, system).values()]
        if sum(sizes) / len(probed) * len(places) <= budget:
            return encoding
    return None


def _encoded(
    places: Sequence[tuple[SubjectGallery, int]], encoding: GalleryEncoding, system: str
) -> dict[GalleryKey, EncodedClip]:
    return {
        (gallery.name, k, name): encode_clip(frames, encoding)
        for gallery, k in places
        for name, frames in _clips(gallery, k, encoding, system)
    }


def _clips(
    gallery: SubjectGallery, k: int, encoding: GalleryEncoding, system: str
) -> Iterator[tuple[str, Frames]]:
    for name, source in gallery.frames.items():
        if encoding.every_system or name in (SHOWN, system):
            yield name, np.asarray(source[k])


def encode_clip(clip: Frames, encoding: GalleryEncoding) -> EncodedClip:
    """Return a clip (frame, height, width, 3) as a strip of some of its frames, none large."""
    count = min(len(clip), encoding.frames)
    places = [len(clip) // 2] if count == 1 else np.unique(even_frames(len(clip), count))
    small = fit(clip[places], min(encoding.side, _SIDE))
    frames, height, width = small.shape[:3]
    laid = strip(small)
    return EncodedClip(
        data_url(laid, encoding.quality), laid.shape[1] // width or frames, height, width
    )
