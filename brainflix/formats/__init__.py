"""File formats: how images, tables, arrays and videos of any origin are opened and checked.

This package knows nothing of studies. Which module reads which file:

- ``images``: ``*_bold.nii.gz``, masks, ``*.dtseries.nii``; ``volumes`` checks their streams
- ``surfaces``: GIFTI series, ``*_bold.func.gii``
- ``tsv``: tables of BIDS
- ``arrays``: .npy, .npz, .mat, .h5, .safetensors, and by name what the next four open
- ``hdf5``, ``archives`` (zip, npz), ``pickle`` with ``pickle_arrays``, ``torch`` (.pt)
- ``bdata``: SubjectK.h5 of BrainDecoderToolbox2
- ``video``: videos and pictures

``trial_rows`` brings arrays with any order of axes into rows (trial, voxel), ``voxel_space`` says
where voxels lie, and ``links`` refuses links that lead out of a study. Which files belong to a
study is decided in :mod:`brainflix.studies`.
"""
