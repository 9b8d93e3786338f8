"""Small models trained by this project, so that the default run needs no download.

Each is a folder in the layout of transformers or diffusers with a model card (README.md). They are
trained anew by ``brainflix.embedded.training.run``.
"""
