"""Where published studies lie, under which terms, and what of them a reader needs.

Only what its owners give to anybody without a form is fetched: the fMRI on OpenNeuro's public
bucket, by https. For everything else the page, the terms and the folder where it belongs are
printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BUCKET = "https://s3.amazonaws.com/openneuro.org"
TOP = ("dataset_description.json", "participants.tsv", "README", "CHANGES", "LICENSE")


@dataclass(frozen=True)
class ByHand:
    """A part of a study that has to be downloaded by hand.

    Parameters
    ----------
    what, page, terms : str
        What it is, the address of its page, and what that asks for.
    folder : str
        Where it belongs, relative to the study's folder.
    """

    what: str
    page: str
    terms: str
    folder: str


@dataclass(frozen=True)
class Published:
    """A published study.

    Parameters
    ----------
    title, reader, licence, citation : str
        What it is, which reader takes it, and its terms.
    accession : str
        Its number on OpenNeuro; empty for a study that is not on it.
    parts : dict of str to tuple of str
        Name of a part to prefixes of its files in the accession; ``{subject}`` stands for each
        subject. The first part is the default.
    always : tuple of str
        Prefixes that belong to each part.
    by_hand : tuple of ByHand
        The rest.
    """

    title: str
    reader: str
    licence: str
    citation: str
    accession: str = ""
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    always: tuple[str, ...] = TOP
    by_hand: tuple[ByHand, ...] = ()


STUDIES: dict[str, Published] = {
    "bold_moments": Published(
        title="BOLD Moments: ten people, 1,102 clips of 3 s",
        reader="bold_moments",
        licence="CC0 (fMRI)",
        citation="Lahner et al. 2024, Nature Communications 15:6241",
        accession="ds005165",
        parts={
            "betas": (
                "derivatives/versionB/fsLR32k/README.txt",
                "derivatives/versionB/fsLR32k/GLM/{subject}/prepared_betas/",
            ),
            "betas_fsaverage": ("derivatives/versionB/fsaverage/GLM/{subject}/prepared_betas/",),
            "betas_mni": ("derivatives/versionB/MNI152/GLM/{subject}/",),
            "fmriprep": ("derivatives/versionB/fmriprep/{subject}/", "{subject}/"),
        },
        always=(*TOP, "derivatives/stimuli_metadata/"),
        by_hand=(
            ByHand(
                what="the clips, train/ and test/",
                page="https://boldmomentsdataset.csail.mit.edu/stimuli_metadata",
                terms="read the README there and agree to its terms of use; a password opens them",
                folder="stimulus_set/stimuli",
            ),
        ),
    ),
    "had": Published(
        title="HAD, Human Action Dataset: thirty people, 720 clips of 2 s each",
        reader="had",
        licence="CC0 (fMRI)",
        citation="Zhou et al. 2023, Scientific Data 10:415",
        accession="ds004488",
        parts={
            "ciftify": ("derivatives/ciftify/{subject}/results/", "{subject}/"),
            "fmriprep": ("derivatives/fmriprep/{subject}/", "{subject}/"),
        },
        by_hand=(
            ByHand(
                what="the clips, taken from HACS (Human Action Clips and Segments)",
                page="https://openneuro.org/datasets/ds004488",
                terms="as the data set's page says; the films belong to those who put them online",
                folder="stimuli",
            ),
        ),
    ),
    "god": Published(
        title="Generic Object Decoding: five people, 1,250 pictures",
        reader="god",
        licence="CC0 (raw fMRI on OpenNeuro); CC BY 4.0 (prepared responses)",
        citation="Horikawa and Kamitani 2017, Nature Communications 8:15037",
        accession="ds001246",
        parts={"raw": ("{subject}/",)},
        by_hand=(
            ByHand(
                what="the prepared responses, Subject1.h5 to Subject5.h5, which the reader takes",
                page="https://figshare.com/articles/Generic_Object_Decoding/7387130",
                terms="none but the licence",
                folder=".",
            ),
            ByHand(
                what="the pictures, folders training/ and test/",
                page="https://forms.gle/ujvA34948Xg49jdn9",
                terms="a form: the authors share them on request, for reasons of copyright",
                folder=".",
            ),
        ),
    ),
    "bold5000": Published(
        title="BOLD5000: four people, 4,916 pictures",
        reader="bold5000",
        licence="CC0 (fMRI)",
        citation="Chang et al. 2019, Scientific Data 6:49",
        accession="ds001499",
        parts={"raw": ("{subject}/",)},
        by_hand=(
            ByHand(
                what="the betas of release 2.0, which the reader takes",
                page="https://bold5000-dataset.github.io/website/download.html",
                terms="none but the licence",
                folder="BOLD5000_GLMsingle_ROI_betas",
            ),
            ByHand(
                what="the pictures and their order, BOLD5000_Stimuli",
                page="https://bold5000-dataset.github.io/website/download.html",
                terms="those of ImageNet, COCO and SUN, from which the pictures are",
                folder="BOLD5000_Stimuli",
            ),
        ),
    ),
    "cc2017": Published(
        title="CC2017: three people, 11.5 h of film",
        reader="cc2017",
        licence="CC0 1.0",
        citation="Wen et al. 2018, Cerebral Cortex 28:4136, doi:10.4231/R7SF2TCW",
        by_hand=(
            ByHand(
                what="films and fMRI: video_fmri_dataset/ and stimuli/",
                page="https://doi.org/10.4231/R7SF2TCW",
                terms="none but the licence; the archive of Purdue University hands out bundles on "
                "its page, not files by address",
                folder=".",
            ),
        ),
    ),
    "mosaic": Published(
        title="MOSAIC: eight studies in one preprocessing",
        reader="mosaic",
        licence="that of each study",
        citation="the MOSAIC preprint and each study that is used",
        by_hand=(
            ByHand(
                what="one HDF5 file per subject, such as sub-01_BMD.hdf5",
                page="see docs, page of the study",
                terms="those of each study",
                folder=".",
            ),
        ),
    ),
}
