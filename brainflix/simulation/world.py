"""A procedural video world: one shaded object, doing one thing, in front of one background.

Scenes are drawn from a grammar (object, colour, background, motion, place, size, camera pan) and
rendered from signed distance functions. Shading is smooth, so that small models can carry it, and
each object is two-toned in its own frame, so that turning is visible. Some combinations are held
out of training, so that generalisation to unseen combinations can be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OBJECTS = ("ball", "box", "pyramid", "star", "ring", "heart", "cross", "moon")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 38),
    "orange": (247, 140, 20),
    "yellow": (246, 228, 60),
    "green": (36, 188, 60),
    "cyan": (50, 212, 216),
    "blue": (40, 66, 228),
    "purple": (158, 52, 204),
    "white": (246, 246, 246),
}
BACKGROUNDS = ("sky", "meadow", "sea", "desert", "night")
MOTIONS = (
    "left",
    "right",
    "up",
    "down",
    "clockwise",
    "counterclockwise",
    "approach",
    "retreat",
    "circling",
    "still",
)
ATTRIBUTES = ("object", "colour", "background", "motion")
LABELS: dict[str, tuple[str, ...]] = {
    "object": OBJECTS,
    "colour": tuple(COLOURS),
    "background": BACKGROUNDS,
    "motion": MOTIONS,
}

FRAMES, SIZE, DURATION = 8, 64, 2.0  # frames per clip, pixels per side, seconds

_TRAVEL, _TURN, _GROWTH, _ORBIT = 26.0, 3.7, 1.5, 9.0  # pixels, radians, ratio, pixels


@dataclass(frozen=True)
class Scene:
    """Everything that determines a clip.

    Attributes
    ----------
    object, colour, background, motion : str
        Labels out of :data:`LABELS`.
    x, y : float
        Centre of the object in the middle of the clip, in pixels of a 64 x 64 frame.
    radius : float
        Radius of the object in the middle of the clip, in pixels.
    angle : float
        Orientation of the object in the middle of the clip, in radians.
    pan : float
        Shift of the background over the whole clip, in pixels; positive moves it leftwards.
    seed : int
        Fixes the background's phases and the choice of captions.
    """

    object: str
    colour: str
    background: str
    motion: str
    x: float
    y: float
    radius: float
    angle: float
    pan: float
    seed: int

    def attributes(self) -> dict[str, str]:
        """Return the four labels of the scene by attribute."""
        return {name: getattr(self, name) for name in ATTRIBUTES}


def is_held_out(scene: Scene) -> bool:
    """Return whether a scene's combination is kept out of all training.

    One in eight pairs of object and colour is held out, and one in ten of background and motion.
    """
    pair = (3 * OBJECTS.index(scene.object) + tuple(COLOURS).index(scene.colour)) % 8 == 5
    place = (2 * BACKGROUNDS.index(scene.background) + MOTIONS.index(scene.motion)) % 10 == 7
    return pair or place


def sample_scenes(n: int, rng: np.random.Generator, held_out: bool | None = False) -> list[Scene]:
    """Draw scenes with independent, uniform attributes.

    Parameters
    ----------
    n : int
        Number of scenes.
    rng : numpy.random.Generator
        Source of randomness.
    held_out : bool or None
        False for combinations allowed in training, True for held-out ones, None for both.
    """
    scenes: list[Scene] = []
    while len(scenes) < n:
        motion = MOTIONS[rng.integers(len(MOTIONS))]
        turning = motion in ("clockwise", "counterclockwise")
        scene = Scene(
            object=OBJECTS[rng.integers(len(OBJECTS))],
            colour=tuple(COLOURS)[rng.integers(len(COLOURS))],
            background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
            motion=motion,
            x=float(rng.uniform(22, 42)),
            y=float(rng.uniform(22, 42)),
            radius=float(rng.uniform(10.5, 15)),
            angle=float(rng.uniform(-np.pi, np.pi) if turning else rng.uniform(-0.35, 0.35)),
            pan=float(rng.choice([-14.0, 0.0, 0.0, 14.0])),
            seed=int(rng.integers(2**31)),
        )
        if held_out is None or is_held_out(scene) == held_out:
            scenes.append(scene)
    return scenes


def _ball(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - 0.95


def _box(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(x), np.abs(y)) - 0.82


def _pyramid(x: Array, y: Array) -> Array:
    slope = np.array([0.866, -0.5])
    return np.maximum(np.abs(x) * slope[0] + y * slope[1], y) - 0.58


def _star(x: Array, y: Array) -> Array:
    # A fifth of the plane about one point of the star, its mirror image folded onto it; the outline
    # is then one straight line from the point to the dent, and the distance is that from the line.
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + sector / 2) % sector - sector / 2)
    radius = np.hypot(x, y)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    tip, dent = 1.12, 0.5  # radius at the points and between them
    dx, dy = dent * np.cos(sector / 2) - tip, dent * np.sin(sector / 2)
    return ((along - tip) * dy - across * dx) / np.hypot(dx, dy)


def _ring(x: Array, y: Array) -> Array:
    return np.abs(np.hypot(x, y) - 0.72) - 0.27


def _heart(x: Array, y: Array) -> Array:
    half = 0.8  # a square on its corner, with a half disc on each of its upper edges
    px, py = np.abs(x), -y + 0.1
    disc = np.hypot(px - half / 2, py - half / 2) - half / np.sqrt(2)
    square = (px + np.abs(py) - half) / np.sqrt(2)
    return np.minimum(disc, square)


def _cross(x: Array, y: Array) -> Array:
    upright = np.maximum(np.abs(x) - 0.33, np.abs(y) - 1.0)
    level = np.maximum(np.abs(x) - 1.0, np.abs(y) - 0.33)
    return np.minimum(upright, level)


def _moon(x: Array, y: Array) -> Array:
    return np.maximum(np.hypot(x + 0.1, y) - 1.0, 0.8 - np.hypot(x - 0.5, y))


_SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "ball": _ball,
    "box": _box,
    "pyramid": _pyramid,
    "star": _star,
    "ring": _ring,
    "heart": _heart,
    "cross": _cross,
    "moon": _moon,
}


def _rgb(*channels: float) -> Array:
    return np.array(channels, dtype=np.float64)


def _soft(value: Array) -> Array:
    """Squash to 0-1 with a soft edge around zero."""
    return 0.5 + 0.5 * np.tanh(value)


def _background(name: str, u: Array, v: Array, phase: Array) -> Array:
    """Return the colour of a background at height ``v`` and panned column ``u``, 0 to 1 per frame.

    An array of shape ``u.shape + (3,)``, 0 to 255.
    """
    tau = 2 * np.pi
    if name == "sky":
        # Two waves that add up make clouds where both are high.
        clouds = np.sin(tau * (1.1 * u + phase[0])) + np.sin(tau * (0.7 * u + 1.6 * v + phase[1]))
        mix = _soft(2.0 * (clouds - 0.9))[..., None]
        base = _rgb(96, 160, 228) + (v[..., None]) * _rgb(70, 45, 14)
        return base * (1 - 0.8 * mix) + _rgb(250, 250, 252) * 0.8 * mix
    if name == "meadow":
        # A wavy horizon with stripes of grass below it.
        hill = 0.30 + 0.05 * np.sin(tau * (0.8 * u + phase[0]))
        ground = _soft((v - hill) * 18)[..., None]
        stripes = np.sin(tau * (1.5 * u + 1.2 * v + phase[1]))[..., None]
        grass = _rgb(70, 116, 44) + stripes * _rgb(12, 20, 8) - (v[..., None] - 0.5) * 40
        return (1 - ground) * _rgb(196, 222, 226) + ground * grass
    if name == "sea":
        # A straight horizon with waves below it.
        water = _soft((v - 0.28) * 24)[..., None]
        waves = np.sin(tau * (3.2 * v + 0.25 * np.sin(tau * (u + phase[0])) + phase[1]))[..., None]
        deep = _rgb(18, 74, 122) + waves * _rgb(14, 28, 30) + (0.6 - v[..., None]) * 30
        return (1 - water) * _rgb(226, 206, 190) + water * deep
    if name == "desert":
        # A wavy dune in front of a plain one.
        dune = 0.42 + 0.13 * np.sin(tau * (0.9 * u + phase[0]))
        near = _soft((v - dune) * 14)[..., None]
        shade = np.sin(tau * (1.2 * u - 0.9 * v + phase[1]))[..., None]
        far = _rgb(236, 206, 160)
        return (1 - near) * far + near * (_rgb(186, 134, 78) + shade * _rgb(22, 18, 12))
    # Night: four stars, which come back on the other side of a panned frame.
    glow = np.zeros_like(u)
    for k in range(4):
        du = (u - phase[k] + 0.5) % 1.0 - 0.5
        glow = glow + np.exp(-((du**2) + (v - phase[k + 4]) ** 2) / (2 * 0.03**2))
    base = _rgb(12, 12, 34) + v[..., None] * _rgb(34, 20, 44)
    return base + glow[..., None] * _rgb(190, 190, 160)


def _pose(scene: Scene, time: Array) -> tuple[Array, Array, Array, Array]:
    """Return x, y, radius (pixels) and angle (radians) at ``time`` in -0.5 to 0.5."""
    still = np.zeros_like(time)
    x, y, angle = scene.x + still, scene.y + still, scene.angle + still
    radius = scene.radius + still
    shifts = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    if scene.motion in shifts:
        dx, dy = shifts[scene.motion]
        x, y = x + dx * _TRAVEL * time, y + dy * _TRAVEL * time
    elif scene.motion == "clockwise":
        angle = angle + _TURN * time
    elif scene.motion == "counterclockwise":
        angle = angle - _TURN * time
    elif scene.motion == "approach":
        radius = radius * _GROWTH ** (2 * time)
    elif scene.motion == "retreat":
        radius = radius * _GROWTH ** (-2 * time)
    elif scene.motion == "circling":
        turn = 2 * np.pi * time
        x, y = x + _ORBIT * np.sin(turn), y - _ORBIT * np.cos(turn)
    return x, y, radius, angle


def centres(scene: Scene, frames: int = FRAMES) -> Array:
    """Return the object's centre in each frame, x and y in pixels, shape (frame, 2)."""
    x, y, _, _ = _pose(scene, (np.arange(frames) + 0.5) / frames - 0.5)
    return np.stack([x, y], axis=1)


def object_cells(scene: Scene, cells: int, frames: int = FRAMES) -> NDArray[np.bool_]:
    """Return which cells of a grid over the frame the object reaches, (frame, cells, cells)."""
    # A cell is reached where its middle is nearer to the object's centre than the radius and about
    # half of the cell's diagonal.
    x, y, radius, _ = (
        part[:, None, None] for part in _pose(scene, (np.arange(frames) + 0.5) / frames - 0.5)
    )
    side = SIZE / cells
    middle = (np.arange(cells) + 0.5) * side
    distance = np.hypot(middle[None, None, :] - x, middle[None, :, None] - y)
    return np.asarray(distance < radius + 0.75 * side)  # a cell is reached by its corner


def render(scene: Scene, frames: int = FRAMES, size: int = SIZE) -> NDArray[np.uint8]:
    """Render a scene.

    Parameters
    ----------
    scene : Scene
        What to show.
    frames : int
        Frames, evenly spaced over the clip: frame k shows time (k + 0.5) / frames.
    size : int
        Pixels per side.

    Returns
    -------
    ndarray of uint8, shape (frames, size, size, 3)
        RGB.
    """
    # Screen coordinates of every pixel of every frame, 0 to 1, (frame, row, column), and the
    # background panned by time.
    time = (np.arange(frames) + 0.5) / frames - 0.5
    axis = (np.arange(size) + 0.5) / size
    shape = (frames, size, size)
    v = np.broadcast_to(axis[None, :, None], shape)
    u = np.broadcast_to(axis[None, None, :], shape)
    pan = (scene.pan / SIZE * time)[:, None, None]
    phase = np.random.default_rng(scene.seed).uniform(0.0, 1.0, 8)
    image = _background(scene.background, u + pan, v, phase)

    # The object's own coordinates: centred, in units of its radius, and turned with it.
    x, y, radius, angle = (part[:, None, None] for part in _pose(scene, time))
    px, py = (u * SIZE - x) / radius, (v * SIZE - y) / radius
    ox = px * np.cos(angle) + py * np.sin(angle)
    oy = -px * np.sin(angle) + py * np.cos(angle)
    # Signed distance from the outline in pixels gives the body's opacity, and a halo around it.
    distance = _SHAPES[scene.object](ox, oy) * radius * size / SIZE  # pixels of the frame
    halo = np.exp(-np.maximum(distance, 0.0) / 1.6)[..., None]
    body = _soft(-1.6 * distance)[..., None]
    # Two shades in the object's frame, so that turning is visible, and light from a fixed place.
    tone = 0.5 + 0.5 * _soft(-3.5 * (oy + 0.12))  # the lower half is darker, in the object's frame
    light = np.clip(1.0 - 0.16 * (px + py), 0.7, 1.25)  # from the upper left, in the scene's frame
    paint = np.array(COLOURS[scene.colour], dtype=np.float64) * (tone * light)[..., None]
    # The background darkens under the halo, and the body covers it.
    image = image * (1 - 0.55 * halo)
    image = image * (1 - body) + paint * body
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


_PLACE = {
    "sky": ("in the sky", "among the clouds"),
    "meadow": ("over a meadow", "above green grass"),
    "sea": ("over the sea", "above the waves"),
    "desert": ("in the desert", "above the dunes"),
    "night": ("at night", "under the stars"),
}
_ACTION = {
    "left": ("moves to the left", "drifts left"),
    "right": ("moves to the right", "drifts right"),
    "up": ("moves up", "rises"),
    "down": ("moves down", "falls"),
    "clockwise": ("turns clockwise", "spins clockwise"),
    "counterclockwise": ("turns counterclockwise", "spins counterclockwise"),
    "approach": ("comes closer", "grows"),
    "retreat": ("goes away", "shrinks"),
    "circling": ("moves in a circle", "circles"),
    "still": ("stays still", "rests"),
}
_TEMPLATES = (
    "a {colour} {object} {action} {place}",
    "{place} a {colour} {object} {action}",
    "the {object} is {colour} and {action} {place}",
    "a {object} that is {colour} {action} {place}",
)


def captions(scene: Scene, n: int = 5) -> list[str]:
    """Return ``n`` different phrasings that describe a scene, the same at each call."""
    words = {"colour": scene.colour, "object": scene.object}
    every = [
        template.format(**words, action=action, place=place)
        for template in _TEMPLATES
        for action in _ACTION[scene.motion]
        for place in _PLACE[scene.background]
    ]
    order = np.random.default_rng(scene.seed + 1).permutation(len(every))
    return [every[k] for k in order[:n]]


def vocabulary() -> tuple[str, ...]:
    """Return every word that a caption can hold, sorted."""
    texts: Sequence[str] = [
        *OBJECTS,
        *COLOURS,
        *(text for pair in _PLACE.values() for text in pair),
        *(text for pair in _ACTION.values() for text in pair),
        "a the is and that",
    ]
    return tuple(sorted({word for text in texts for word in text.split()}))
