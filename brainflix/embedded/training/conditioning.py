"""What the denoiser is told in training: captions, less than that, and with a decoder's errors.

In use, the conditioning of a clip is predicted from brain responses. Such vectors are not encoded
text: they lie nearer to the mean, what the responses do not tell is averaged out, and their errors
point where captions differ, so that a blue ball is given some of a red one's vector. A denoiser
that has seen encoded text alone takes all of a vector at its word, the errors too. So in part of
the training some attributes are left out, and deviations of other captions are mixed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from brainflix.embedded.training.loop import device
from brainflix.simulation.world import ATTRIBUTES, LABELS, Scene, captions, is_held_out

SIZES = tuple(len(LABELS[name]) for name in ATTRIBUTES)
PHRASINGS = 16  # all that the grammar has for a scene
MEAN_OF = 5  # captions a clip whose mean encoding the pipeline regresses

_LEFT_OUT = 0.25  # share of clips that are not told everything
_WRONG = 0.5  # share of clips that are told with errors
_LARGEST = 0.9  # root mean square of the errors, in units of the conditioning's own deviation
_EMPTY = 0.08  # share of clips that are told nothing, for guidance


def combinations() -> list[Scene]:
    """Return a scene for each combination of labels, in the order of :func:`flat_index`."""
    return [
        Scene(kind, colour, background, motion, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
        for kind, colour, background, motion in product(*(LABELS[name] for name in ATTRIBUTES))
    ]


def flat_index(labels: Tensor, without: int | None = None) -> Tensor:
    """Return the index of each row of labels among all combinations.

    Parameters
    ----------
    labels : Tensor of int64, shape (clip, 4)
    without : int, optional
        The column to leave out, for combinations of the other three.

    Returns
    -------
    Tensor of int64, shape (clip,)
    """
    index = torch.zeros_like(labels[:, 0])
    for column, size in enumerate(SIZES):
        if column != without:
            index = index * size + labels[:, column]
    return index


@dataclass(frozen=True)
class Phrasebook:
    """Encoded captions of every combination, on :func:`device`.

    All clips of a combination share their captions, so these are encoded once and clips are known
    by their labels.

    Attributes
    ----------
    texts : Tensor, shape (combination, phrasing, token, dim)
        Encodings; those of held-out combinations are never looked up.
    without : sequence of Tensor, shape (combination of the others, phrasing, token, dim)
        For each attribute, means over its values: what is left when it is not known.
    mean : Tensor, shape (token, dim)
        Over all phrasings of all combinations.
    empty : Tensor, shape (token, dim)
        Encoding of the empty caption.
    """

    texts: Tensor
    without: Sequence[Tensor]
    mean: Tensor
    empty: Tensor

    @classmethod
    def make(cls, encode: Callable[[list[str]], Tensor]) -> Phrasebook:
        """Encode all captions.

        Parameters
        ----------
        encode : callable
            Maps texts to encodings (text, token, dim).
        """
        scenes = combinations()
        texts = [text for scene in scenes for text in captions(scene, PHRASINGS)]
        encoded = encode(texts).to(device()).unflatten(0, (*SIZES, PHRASINGS))
        allowed = torch.tensor([not is_held_out(scene) for scene in scenes], dtype=torch.float32)
        weight = allowed.to(encoded.device).view(*SIZES, 1, 1, 1)
        weighted = encoded * weight
        # the clamp is for combinations of three attributes that are held out whatever the fourth
        without = [
            (weighted.sum(axis) / weight.sum(axis).clamp(min=1)).flatten(0, 2)
            for axis in range(len(SIZES))
        ]
        mean = weighted.sum((0, 1, 2, 3, 4)) / (weight.sum() * PHRASINGS)
        return cls(
            encoded.flatten(0, 3).half(),  # 100 MB
            [part.half() for part in without],
            mean,
            encode([""])[0].to(device()),
        )

    def draw(self, labels: Tensor, generator: torch.Generator | None, imperfect: bool) -> Tensor:
        """Draw a conditioning a clip.

        Half of the clips get the mean over five phrasings, which is what the pipeline regresses;
        the others one to four; some get the empty caption, for guidance. A little white noise
        makes up for what a regression to principal components leaves out.

        Parameters
        ----------
        labels : Tensor of int64, shape (clip, 4)
        generator : torch.Generator
            On the device of ``labels``.
        imperfect : bool
            Whether some clips are told less than all, and some with errors.

        Returns
        -------
        Tensor, shape (clip, token, dim)
        """
        batch, where = len(labels), labels.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=where)

        picked = uniform(batch, PHRASINGS).topk(MEAN_OF, dim=1).indices  # (clip, 5)
        draw = uniform(batch)
        some = torch.randint(1, MEAN_OF, (batch,), generator=generator, device=where)
        count = torch.where(draw < 0.5, MEAN_OF, torch.where(draw < 0.8, some, 1))
        weight = (torch.arange(MEAN_OF, device=where) < count[:, None]).float()
        weight = weight / weight.sum(1, keepdim=True)  # (clip, 5)

        def mixed(table: Tensor, row: Tensor) -> Tensor:
            return torch.einsum("np,nptd->ntd", weight, table[row[:, None], picked].float())

        every = self.texts[flat_index(labels)[:, None], picked].float()  # (clip, 5, token, dim)
        told = torch.einsum("np,nptd->ntd", weight, every)
        if imperfect:
            unknown = self._unknown(batch, uniform)
            told = told + sum(
                unknown[:, k, None, None] * (mixed(table, flat_index(labels, k)) - told)
                for k, table in enumerate(self.without)
            )
            told = self._distort(told, every.mean(1), uniform, generator)
        white = 0.3 * (uniform(batch, 1, 1).clamp(min=0.5) - 0.5)
        told = told + white * torch.randn(told.shape, generator=generator, device=where)
        return torch.where((uniform(batch) < _EMPTY)[:, None, None], self.empty, told)

    @staticmethod
    def _unknown(batch: int, uniform: Callable[..., Tensor]) -> Tensor:
        """Draw how much of each attribute is left out, 0 to 1, shape (clip, 4).

        One attribute, or now and then two; half of the time wholly.
        """
        amount = torch.where(uniform(batch, 4) < 0.5, 1.0, uniform(batch, 4))
        order = uniform(batch, 4).argsort(1)  # a permutation of 0 to 3 a clip
        many = 1 + (uniform(batch, 1) < 0.25).long()
        return amount * (order < many) * (uniform(batch, 1) < _LEFT_OUT)

    def _distort(
        self,
        told: Tensor,
        clean: Tensor,
        uniform: Callable[..., Tensor],
        generator: torch.Generator | None,
    ) -> Tensor:
        """Mix deviations of other clips' captions into half of the clips, at constant length.

        With a share rho of its own deviation and sqrt(1 - rho^2) of another of the same length, a
        vector errs by sqrt(2 - 2 rho) and is as long as before, as predictions are once they are
        stretched to the length of encoded text. The other deviation comes from a few other clips
        or from all: the confusion of two clips, or the blur of a regression. Some vectors are left
        too short, as regression leaves them.

        Parameters
        ----------
        told, clean : Tensor, shape (clip, token, dim)
            What is distorted, and the clips' full conditioning, whose deviations are mixed in.
        """
        batch, where = len(told), told.device
        wrong = uniform(batch) < _WRONG
        error = _LARGEST * uniform(batch) * wrong
        rho = 1 - error.square() / 2
        mix = torch.randn((batch, batch), generator=generator, device=where)
        few = (uniform(batch, 1) < 0.5) & (uniform(batch, batch) >= 4 / batch)
        mix = mix.masked_fill(few | torch.eye(batch, dtype=torch.bool, device=where), 0.0)
        mix = mix / mix.norm(dim=1, keepdim=True).clamp(min=1e-3)
        other = (mix @ (clean - self.mean).flatten(1)).view_as(told)
        short = wrong & (uniform(batch) < 0.4)
        length = torch.where(short, 0.6 + 0.4 * uniform(batch), 1.0)
        own = (length * rho)[:, None, None] * (told - self.mean)
        return self.mean + own + (length * (1 - rho.square()).sqrt())[:, None, None] * other
