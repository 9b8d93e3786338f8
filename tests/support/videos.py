"""Videos whose frames tell their number: frame k has the grey level STEP * k."""

from fractions import Fraction

import av
import numpy as np

SIDE, STEP = 64, 8


def write_video(path, n=24, rate=10, codec="libx264", pix="yuv420p", stamps=None, **options):
    """Write frames of grey level STEP * k; ``stamps`` in ms make the rate variable."""
    container_options = options.pop("container", {})
    form = options.pop("form", None)
    noise = np.random.default_rng(0).integers(-7, 8, (n, SIDE, SIDE, 3))
    scale = options.pop("noise", 0)
    with av.open(str(path), "w", format=form, options=container_options) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt = pix
        if stamps is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for k in range(n):
            picture = np.clip(STEP * k + scale * noise[k], 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
