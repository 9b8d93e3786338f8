"""Opening a video file that came from elsewhere: as a recording, and as nothing else.

FFmpeg decides by a file's content what it is. A text named like a movie may be a playlist, which
names other files or addresses on the network for it to read. Only containers of pictures are
admitted, only the file itself is opened, and a picture too large for a screen is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brainflix.errors import VideoError

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,ogg,flv,asf,"
    "gif,apng,ivf,nut,dv,mxf,yuv4mpegpipe,wav,mp3,flac"
)
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
MAX_PIXELS = 2**26  # of one frame, 8192 x 8192


def open_video(path: str | Path) -> Any:
    """Return an open PyAV container of a file on disk, to be closed by the caller.

    Raises
    ------
    VideoError
        When a frame would have more than ``MAX_PIXELS``, or nothing tells how to decode it.
    av.FFmpegError
        When the file is no recording, or damaged.
    """
    import av

    container = av.open(str(path), options=OPTIONS)
    for stream in container.streams.video:
        codec = stream.codec_context  # None where the stream's description is damaged
        if codec is None:
            container.close()
            raise VideoError(
                "the video cannot be decoded",
                expected="a whole video file",
                found="a stream without a known codec",
                where=path,
                remedy="copy the file again",
            )
        width, height = codec.width, codec.height
        if width * height > MAX_PIXELS:
            container.close()
            raise VideoError(
                "the video claims frames of an impossible size",
                expected=f"at most {MAX_PIXELS} pixels",
                found=f"{width} x {height}",
                where=path,
                remedy="copy the file again, or make it smaller",
            )
    return container
