"""Decoding by time stamp, against the time stamps that were written."""

from __future__ import annotations

import bisect
import io
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.videos import SIDE, STEP, write_video

from brainflix.config.studies import StimuliConfig
from brainflix.errors import StudyError, VideoError
from brainflix.formats.video import frames_at, read_picture, resize_frame
from brainflix.targets.decode import Excerpt, decode_excerpts, frame_times, sample_array

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "videos"


def shown(path, times):
    """Return the number of the frame that is decoded at each time."""
    found = {k: frame for k, frame in frames_at(path, times)}
    return [round(float(found[k].mean()) / STEP) for k in range(len(found))]


FORMATS = {
    "bframes.mp4": {"bf": "3", "g": "12"},
    "fragmented.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "offset.ts": {},
    "matroska.mkv": {},
    "lossless.mkv": {"codec": "ffv1"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "bframes.avi": {"codec": "mpeg4", "bf": "2", "qmin": "1", "qmax": "2"},
    "mjpeg.mov": {"codec": "mjpeg", "pix": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "rate": 25},
}


@pytest.mark.parametrize("name", FORMATS)
def test_any_container_gives_the_frame_on_screen(tmp_path, name):
    options = dict(FORMATS[name])
    rate = options.get("rate", 10)
    path = write_video(tmp_path / name, **options)
    times = (np.arange(22) + np.linspace(0.1, 0.9, 22)) / rate
    assert shown(path, times) == list(range(22))


@pytest.mark.parametrize("name", ["variable.mkv", "variable.mp4"])
def test_variable_rate_follows_the_time_stamps(tmp_path, name):
    gaps = [40, 200, 10, 90, 330, 33, 34, 33, 500, 60]
    stamps = [0, *np.cumsum(gaps).tolist()][:10]
    path = write_video(tmp_path / name, n=10, rate=30, stamps=stamps, bf="2")
    times = np.linspace(0.001, stamps[-1] / 1000 + 0.01, 200)
    margin = [min(abs(1000 * t - s) for s in stamps) for t in times]
    times = [float(t) for t, m in zip(times, margin, strict=True) if m > 2]  # clear of the edges
    expected = [bisect.bisect_right(stamps, 1000 * t) - 1 for t in times]
    assert shown(path, times) == expected


def test_a_time_stamp_itself_belongs_to_its_frame(tmp_path):
    path = write_video(tmp_path / "thirds.mkv", rate=3, n=7)  # Matroska rounds 1/3 s to 333 ms
    assert shown(path, np.arange(7) / 3) == list(range(7))


def test_clips_of_a_movie_are_cut_in_one_pass_in_any_order(tmp_path, monkeypatch):
    path = write_video(tmp_path / "movie.mp4", n=31, bf="2")
    opened = []
    real = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: opened.append(a) or real(*a, **k))
    options = StimuliConfig(frames=4, height=32, width=48)
    excerpts = [Excerpt(2.0, 0.8), Excerpt(0.4, 0.8), Excerpt(0.8, 0.8)]  # two of them overlap
    clips = dict(decode_excerpts(path, excerpts, options))
    assert len(opened) == 1
    for k, excerpt in enumerate(excerpts):
        times = excerpt.onset + (np.arange(4) + 0.5) * 0.2  # exactly between two time stamps
        assert clips[k].shape == (4, 32, 48, 3)
        levels = clips[k].mean(axis=(1, 2, 3)) / STEP
        np.testing.assert_array_equal(levels.round(), np.floor(times * 10 + 1e-6))


def test_frame_times_are_the_middles_of_equal_parts():
    np.testing.assert_allclose(frame_times(10.0, 2.0, 4), [10.25, 10.75, 11.25, 11.75])


def test_a_time_past_the_end_is_refused(tmp_path):
    path = write_video(tmp_path / "short.mp4", n=10)
    with pytest.raises(VideoError) as caught:
        list(frames_at(path, [0.5, 1.3]))
    text = str(caught.value)
    assert "a frame at 1.300 s" in text
    assert "frames up to 1.00" in text
    assert "short.mp4" in text


def test_a_time_before_the_first_frame_is_refused(tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:  # sound from 0 s, pictures from 1 s
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(sound.encode(frame))
        for k in range(10):
            picture = av.VideoFrame.from_ndarray(
                np.full((SIDE, SIDE, 3), STEP * k, np.uint8), format="rgb24"
            )
            picture.pts, picture.time_base = 10 + k, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        container.mux(sound.encode())
    assert shown(path, [1.05, 1.95]) == [0, 9]
    with pytest.raises(VideoError, match="no frame at a time asked for"):
        list(frames_at(path, [0.5]))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.8])
def test_a_truncated_mp4_is_refused(tmp_path, kept):
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(VideoError) as caught:
        list(frames_at(path, [0.05]))
    assert f"{int(kept * len(whole))} bytes" in str(caught.value)
    assert "cut.mp4" in str(caught.value)


@pytest.mark.parametrize("name", ["front.mp4", "cut.mkv", "cut.ts"])
def test_a_file_cut_in_its_pictures_gives_its_first_clips_only(tmp_path, name):
    options = {"container": {"movflags": "faststart"}} if name == "front.mp4" else {}
    path = write_video(tmp_path / name, g="6", noise=1, **options)
    path.write_bytes(path.read_bytes()[: int(0.75 * path.stat().st_size)])
    assert shown(path, [0.35, 0.75]) == [3, 7]
    with pytest.raises(VideoError, match=r"no frame at a time|damaged"):
        list(frames_at(path, [0.05, 2.35]))


def test_a_stream_without_time_stamps_is_refused(tmp_path):
    path = write_video(tmp_path / "raw.h264", form="h264")
    with pytest.raises(VideoError, match="no time stamps"):
        list(frames_at(path, [0.1]))


def test_sound_alone_garbage_and_absence_are_refused(tmp_path):
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(np.random.default_rng(0).bytes(5000))
    for path, message in (
        (sound, "holds no video"),
        (garbage, "cannot be decoded"),
        (tmp_path / "absent.mp4", "no such video"),
    ):
        with pytest.raises(VideoError, match=message):
            list(frames_at(path, [0.1]))


@pytest.mark.parametrize("space", [1, 5])  # BT.709, BT.601
def test_colours_follow_the_file_s_matrix(tmp_path, space):
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[:32, :32], rgb[:32, 32:], rgb[32:, :32], rgb[32:, 32:] = (
        (230, 20, 10),
        (10, 220, 30),
        (255, 255, 255),
        (20, 30, 210),
    )
    path = tmp_path / "colour.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "0"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace = space
        kind = {1: "ITU709", 5: "ITU601"}[space]
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace=kind)))
        container.mux(stream.encode())
    [(_, decoded)] = frames_at(path, [0.05])
    assert np.abs(decoded.astype(int) - rgb).max() <= 3


def test_a_video_that_a_player_turns_is_turned(tmp_path):
    path = tmp_path / "phone.mp4"
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[:16] = 255  # bright at the top as stored
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    upright = b"".join(v.to_bytes(4, "big") for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    right = (0, 65536, 0, (1 << 32) - 65536, 0, 0, 0, 0, 1 << 30)  # 90 degrees clockwise
    content = path.read_bytes()
    start = content.index(upright, content.index(b"tkhd"))
    turned = b"".join(v.to_bytes(4, "big") for v in right)
    path.write_bytes(content[:start] + turned + content[start + len(turned) :])
    [(_, decoded)] = frames_at(path, [0.05])
    assert decoded[:, -16:].mean() > 230  # what was the top is at the right
    assert decoded[:, :40].mean() < 10


def test_shrinking_is_the_area_average_and_growing_is_smooth():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (48, 96, 3), dtype=np.uint8)
    expected = frame.reshape(16, 3, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize_frame(frame, 16, 24) - expected).max() <= 1.01  # rounded twice
    assert resize_frame(frame, 48, 96) is frame
    ramp = np.repeat(np.arange(8, dtype=np.uint8)[None, :, None] * 30, 8, axis=0).repeat(3, axis=2)
    grown = resize_frame(ramp, 16, 32).astype(int)
    assert np.abs(np.diff(grown[5, :, 0])).max() <= 9  # no steps of 30
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resize_frame(stripes, 8, 8)) <= 1  # antialiased


def test_a_picture_becomes_a_still(tmp_path):
    from PIL import Image

    picture = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), picture)
    still = sample_array(picture[None], StimuliConfig(frames=3, height=20, width=30))
    np.testing.assert_array_equal(still, np.stack([picture] * 3))
    (tmp_path / "bad.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    with pytest.raises(VideoError, match="picture cannot be read"):
        read_picture(tmp_path / "bad.png")


def test_frames_held_by_a_study_are_sampled_at_the_middles_of_parts():
    frames = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    chosen = sample_array(frames, StimuliConfig(frames=3, height=8, width=8))
    assert chosen[:, 0, 0, 0].tolist() == [1, 3, 5]
    for bad in (frames[0], frames.astype(np.float32), frames[..., :1], frames[:0]):
        with pytest.raises(StudyError, match="another form"):
            sample_array(bad, StimuliConfig())


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared recordings")
@pytest.mark.parametrize("name", ["car-detection.mp4", "milk.mkv", "bottle-detection.mp4"])
def test_real_recordings(name):
    buffer = io.BytesIO((SHARED / name).read_bytes())
    with av.open(buffer) as container:
        stamps, pictures = [], []
        for frame in container.decode(video=0):
            stamps.append(frame.time)
            pictures.append(frame.to_ndarray(format="rgb24"))
            if len(stamps) == 40:
                break
    zero = stamps[0]
    times = frame_times(0.21, 1.0, 5)
    expected = [bisect.bisect_right(stamps, t + zero + 0.001) - 1 for t in times]
    for k, frame in frames_at(SHARED / name, times):
        np.testing.assert_array_equal(frame, pictures[expected[k]])
