"""A subject's brain: where its areas lie, what its voxels are tuned to, how strongly they respond.

Three kinds of voxel see the clips. Early visual voxels pool the local maps of
:mod:`brainflix.simulation.features` under a Gaussian receptive field at a retinotopic place.
Intermediate voxels rectify random mixtures of all maps, motion patterns among them, under larger
fields. Semantic voxels are tuned to labels: what is shown, which action, which place. The other
voxels see nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from brainflix.config.studies import SimulationConfig
from brainflix.errors import DataError
from brainflix.simulation.bold import VoxelPhysics
from brainflix.simulation.features import CHANNELS, FLOWS, GRID, levels
from brainflix.simulation.study import generator

Array = NDArray[np.float64]

AREAS = ("early", "intermediate", "what", "action", "place", "non_visual")
SHAPE, VOXELS = (18, 22, 14), 2400  # the grid that suits this mean number of voxels
SPACING = 8.0  # mm per voxel of that grid; a brain keeps its size whatever its number of voxels

_EARLY, _INTERMEDIATE, _ASSOCIATION = 0.22, 0.13, 0.28  # shares of a brain's voxels
_SEES = {"what": ("object", "colour"), "action": ("motion",), "place": ("background",)}
_SIGNED = ("luminance", "red_green", "blue_yellow")
# Median size of the response, in percent. An isolated clip evokes more than one in a stream.
_AMPLITUDE = {"movie": 0.47, "event_related": 1.1}
_SPREAD = 0.27  # of the logarithm of the amplitude over voxels
_NETWORKS, _SHARED = 24, 0.3  # spontaneous courses that voxels share, and their part of the noise


@dataclass(frozen=True)
class Anatomy:
    """Where a subject's voxels are.

    Attributes
    ----------
    shape : tuple of int
        The volume's grid.
    spacing : float
        Edge of a voxel, in mm.
    position : ndarray of int, shape (voxel, 3)
        Indices i, j, k of each brain voxel, in C order.
    area : ndarray of int, shape (voxel,)
        Index into :data:`AREAS`.
    """

    shape: tuple[int, int, int]
    spacing: float
    position: NDArray[np.int64]
    area: NDArray[np.int64]

    def coordinates(self) -> Array:
        """Return positions as fractions of the grid, -1 to 1 along each axis: right, front, up."""
        return 2 * (self.position + 0.5) / np.array(self.shape) - 1

    def mask(self) -> NDArray[np.bool_]:
        """Return the brain mask."""
        mask = np.zeros(self.shape, dtype=bool)
        mask[tuple(self.position.T)] = True
        return mask

    def affine(self) -> Array:
        """Return the affine from indices to mm, with the origin in the middle of the grid."""
        affine = np.diag([self.spacing] * 3 + [1.0])
        affine[:3, 3] = -self.spacing * (np.array(self.shape) - 1) / 2
        return affine


@dataclass(frozen=True)
class Tuning:
    """What drives each voxel; a voxel of which every weight is zero sees nothing.

    Attributes
    ----------
    field : ndarray, shape (voxel, 3)
        Receptive field: column and row of its centre, and its width, in fractions of the frame.
    local : ndarray, shape (2, voxel, map)
        Weights of the local maps under the field. Early voxels use the first set, linearly;
        intermediate ones add the rectified sums of both.
    rectified : ndarray of bool, shape (voxel,)
        Whether the sums are rectified.
    labels : ndarray, shape (voxel, level)
        Weights of the labels, see :func:`brainflix.simulation.features.levels`.
    """

    field: Array
    local: Array
    rectified: NDArray[np.bool_]
    labels: Array

    @property
    def driven(self) -> NDArray[np.bool_]:
        """Whether a voxel has any weight."""
        return np.abs(self.local).sum(axis=(0, 2)) + np.abs(self.labels).sum(axis=1) > 0


@dataclass(frozen=True)
class Brain:
    """A simulated subject."""

    anatomy: Anatomy
    tuning: Tuning
    physics: VoxelPhysics


def _random_field(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Array:
    """Return smooth noise of zero mean and unit variance on a grid."""
    values = gaussian_filter(rng.standard_normal(shape), sigma, mode="nearest")
    return (values - values.mean()) / values.std()


def draw_anatomy(voxels: int, rng: np.random.Generator) -> Anatomy:
    """Draw a brain: a bumpy ellipsoid whose areas are each of one piece, but for single voxels.

    Early visual cortex lies at the back, intermediate areas before it, and before these the
    action area above, the place area low in the middle, and the what area low at the sides.

    Parameters
    ----------
    voxels : int
        Mean number of voxels of the study's brains; this one has 0.84 to 1.2 times as many.
    rng : numpy.random.Generator
        Source of randomness.
    """
    # The grid is scaled with the number of voxels. Of its voxels, those nearest to the centre are
    # the brain, by a distance with smooth noise that makes the ellipsoid bumpy.
    scale = (voxels / VOXELS) ** (1 / 3)
    shape = tuple(int(np.ceil(size * scale)) for size in SHAPE)
    count = round(voxels * float(rng.uniform(0.84, 1.2)))
    grid = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n * 2 - 1 for n in shape], indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0)) + 0.03 * _random_field(shape, 2.0, rng)
    inside = np.sort(np.argsort(radius, axis=None, kind="stable")[:count])

    # Coordinates of the brain's voxels; noise bends the borders between areas.
    x, y, z = grid.reshape(3, -1)[:, inside]
    depth = y + 0.08 * _random_field(shape, 2.0, rng).ravel()[inside]
    height = z + 0.10 * _random_field(shape, 2.0, rng).ravel()[inside]
    area = np.full(count, AREAS.index("non_visual"))
    # Shares of the brain from the back to the front: early, intermediate, association.
    rank = np.argsort(np.argsort(depth, kind="stable"), kind="stable") / count
    area[rank < _EARLY + _INTERMEDIATE] = AREAS.index("intermediate")
    area[rank < _EARLY] = AREAS.index("early")
    # The association band is divided into its upper part, and below that the middle and the sides.
    band = np.flatnonzero((rank >= _EARLY + _INTERMEDIATE) & (rank < 0.35 + _ASSOCIATION))
    upper = height[band] > np.quantile(height[band], 0.65)
    lower = band[~upper]
    medial = np.abs(x[lower]) < np.quantile(np.abs(x[lower]), 0.3)
    area[band[upper]] = AREAS.index("action")
    area[lower[medial]] = AREAS.index("place")
    area[lower[~medial]] = AREAS.index("what")
    position = np.stack(np.unravel_index(inside, shape), axis=1)
    return Anatomy((shape[0], shape[1], shape[2]), SPACING / scale, position, area)


def _retinotopy(anatomy: Anatomy, rng: np.random.Generator) -> Array:
    """Return receptive fields: each half of the brain sees the other side, upside down.

    Eccentricity and width grow from the back to the front.
    """
    x, y, z = anatomy.coordinates().T
    count = x.size
    # Polar coordinates of each field about the middle of the frame, as positions in the brain plus
    # scatter: eccentricity by depth, angle by height over distance from the midline.
    eccentricity = np.clip((y + 1) / 0.9, 0, 1) ** 0.7 + rng.normal(0, 0.12, count)
    angle = np.arctan2(0.6 * z, np.abs(x) + 0.1) + rng.normal(0, 0.3, count)
    reach = 0.48 * np.clip(eccentricity, 0.02, 1)
    # The left half of the brain (x < 0) sees the right half of the frame, and what is up in the
    # brain is down in the frame.
    column = 0.5 - np.sign(x) * reach * np.cos(angle)
    row = 0.5 + reach * np.sin(angle)
    width = 0.05 + 0.08 * np.clip(eccentricity, 0, 1)
    return np.stack([np.clip(column, 0.04, 0.96), np.clip(row, 0.04, 0.96), width], axis=1)


def draw_tuning(anatomy: Anatomy, rng: np.random.Generator) -> Tuning:
    """Draw what each voxel is tuned to, given its area."""
    count = anatomy.area.size
    field = _retinotopy(anatomy, rng)
    local = np.zeros((2, count, len(CHANNELS) + len(FLOWS)))

    # Early voxels: weights of the channels that are mostly of one or two channels (a sparse
    # Dirichlet distribution); channels that have a sign may be preferred either way.
    early = np.flatnonzero(anatomy.area == AREAS.index("early"))
    weights = rng.dirichlet(np.full(len(CHANNELS), 0.4), size=early.size)
    for channel in _SIGNED:
        weights[:, CHANNELS.index(channel)] *= rng.choice([-1.0, 1.0], size=early.size)
    local[0, early, : len(CHANNELS)] = weights

    # Intermediate voxels: two random mixtures of all maps, and larger fields about the middle.
    middle = np.flatnonzero(anatomy.area == AREAS.index("intermediate"))
    local[:, middle] = rng.standard_normal((2, middle.size, local.shape[2]))
    field[middle, 2] = rng.uniform(0.2, 0.4, middle.size)
    field[middle, :2] = rng.uniform(0.3, 0.7, (middle.size, 2))

    # Semantic voxels: random weights of the labels of their area's attributes.
    codes = np.zeros((count, len(levels())))
    attribute = np.array([name for name, _ in levels()])
    for area, names in _SEES.items():
        voxels = np.flatnonzero(anatomy.area == AREAS.index(area))
        columns = np.flatnonzero(np.isin(attribute, names))
        codes[np.ix_(voxels, columns)] = rng.standard_normal((voxels.size, columns.size))
    return Tuning(field, local, anatomy.area == AREAS.index("intermediate"), codes)


def draw_physics(
    anatomy: Anatomy, driven: NDArray[np.bool_], options: SimulationConfig, rng: np.random.Generator
) -> VoxelPhysics:
    """Draw each voxel's response size, haemodynamic delay and noise, smooth over the brain."""
    count = driven.size

    def smooth(sigma: float) -> Array:
        return _random_field(anatomy.shape, sigma, rng)[tuple(anatomy.position.T)]

    # Logarithm of the response's size: a part of the subject, one that is smooth over the brain and
    # one of each voxel. Haemodynamic delays are smooth in part too.
    subject = rng.normal(0.0, 0.07)
    size = subject + _SPREAD * (0.6 * smooth(1.5) + 0.8 * rng.standard_normal(count))
    lateness = 0.6 * smooth(2.0) + 0.8 * rng.standard_normal(count)
    peak = np.clip(5.0 + 0.7 * lateness, 3.5, 6.5)
    # Smooth weights of the shared courses, whose squares sum to the shared part of the noise.
    networks = np.stack([smooth(2.0) for _ in range(_NETWORKS)])
    networks *= np.sqrt(_SHARED / (networks**2).sum(axis=0))
    time_constant = np.clip(2.0 + 0.4 * rng.standard_normal(count), 1.0, 3.5)  # s
    return VoxelPhysics(
        amplitude=np.where(driven, _AMPLITUDE[options.kind] * np.exp(size), 0.0),
        peak=np.rint(peak * 10) / 10,
        baseline=np.clip(
            1000.0 + 80.0 * smooth(2.0) + 40.0 * rng.standard_normal(count), 500, 1500
        ),
        noise=np.exp(0.15 * rng.standard_normal(count)),
        coefficient=np.exp(-options.repetition_time / time_constant),
        loading=np.exp(0.4 * smooth(2.0) - 0.08),
        networks=networks,
    )


def draw_brain(options: SimulationConfig, subject: str) -> Brain:
    """Draw the brain of a subject; it depends only on the study's options and the label."""
    anatomy = draw_anatomy(options.voxels, generator(options, "anatomy", subject))
    tuning = draw_tuning(anatomy, generator(options, "tuning", subject))
    physics = draw_physics(anatomy, tuning.driven, options, generator(options, "physics", subject))
    return Brain(anatomy, tuning, physics)


def _field_weights(field: Array) -> Array:
    """Return Gaussian receptive fields over the map grid, each of sum 1: (voxel, GRID * GRID)."""
    # A Gaussian over columns times one over rows.
    axis = (np.arange(GRID) + 0.5) / GRID
    column = np.exp(-((axis - field[:, :1]) ** 2) / (2 * field[:, 2:] ** 2))
    row = np.exp(-((axis - field[:, 1:2]) ** 2) / (2 * field[:, 2:] ** 2))
    weights = row[:, :, None] * column[:, None, :]  # (voxel, row, column)
    return (weights / weights.sum(axis=(1, 2), keepdims=True)).reshape(len(field), -1)


def neural_drive(
    tuning: Tuning,
    maps: NDArray[np.float32],
    codes: NDArray[np.float32],
    reference: NDArray[np.bool_],
) -> Array:
    """Compute how strongly each clip drives each voxel.

    Parameters
    ----------
    tuning : Tuning
        The voxels' weights.
    maps : ndarray, shape (clip, map, GRID, GRID)
        Local maps, see :func:`brainflix.simulation.features.local_maps`.
    codes : ndarray, shape (clip, level)
        One-hot labels.
    reference : ndarray of bool, shape (clip,)
        The clips over which a driven voxel's mean is 0 and standard deviation 1.

    Returns
    -------
    ndarray, shape (clip, voxel)
        Zero for voxels that see nothing.

    Raises
    ------
    DataError
        When the shapes do not fit.
    """
    if maps.shape[1:] != (tuning.local.shape[2], GRID, GRID) or len(maps) != len(codes):
        raise DataError(
            "maps and labels do not fit the tuning",
            expected=("clip", tuning.local.shape[2], GRID, GRID),
            found=(maps.shape, codes.shape),
        )
    # Maps that have a sign stay as they are; energies and contrasts are compressed by a root. All
    # are standardised over the reference clips and over places.
    signed = np.array([name in _SIGNED for name in (*CHANNELS, *FLOWS)])[:, None, None]
    values = np.where(signed, maps, np.sqrt(np.maximum(maps, 0))).astype(np.float64)
    mean = values[reference].mean(axis=(0, 2, 3), keepdims=True)
    values = (values - mean) / values[reference].std(axis=(0, 2, 3), keepdims=True)

    # Semantic part: (clip, level) @ (level, voxel).
    drive = codes @ tuning.labels.T
    # Local part: maps under each field, (clip, map, place) @ (place, voxel), and then two weighted
    # sums of maps for each voxel, (set, clip, voxel), rectified in intermediate areas.
    local = np.flatnonzero(np.abs(tuning.local).sum(axis=(0, 2)) > 0)
    fields = _field_weights(tuning.field[local])
    pooled = values.reshape(*values.shape[:2], -1) @ fields.T  # (clip, map, voxel)
    sums = np.einsum("cmv,svm->scv", pooled, tuning.local[:, local], optimize=True)
    sums = np.where(tuning.rectified[local], np.maximum(sums, 0), sums)
    drive[:, local] += sums.sum(axis=0)
    # Mean 0 and deviation 1 over the reference clips; rounded, so that the last bits of a
    # platform's arithmetic do not reach the files.
    spread = np.where(tuning.driven, drive[reference].std(axis=0), 1.0)
    drive = np.where(tuning.driven, drive - drive[reference].mean(axis=0), 0.0)
    return np.round(drive / np.maximum(spread, 1e-12), 6)
