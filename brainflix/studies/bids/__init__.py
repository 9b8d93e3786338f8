"""BIDS derivatives: which files a run consists of, and what they mean.

The way of ``sub-01_desc-preproc_bold.nii.gz``: ``index`` finds it by its name, ``recordings`` adds
mask, events, confounds and sidecar, ``study`` makes a run of them, and
:func:`brainflix.formats.images.read_rows` reads its values (for CIFTI as well;
``*_bold.func.gii`` is read by :mod:`brainflix.formats.surfaces`). ``masks`` chooses the voxels,
``events`` and ``stimuli`` say which clip was shown when, ``confounds`` reads the columns to remove.
"""
