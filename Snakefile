"""From fMRI runs and watched videos to reconstructed videos and a page that shows them.

`snakemake --cores all all` runs config.yaml; `--configfile other.yaml` replaces it, and
`--config 'key=value'` changes a part of it. Each rule runs one stage of the package beside this
file and hands it files and its own section of the configuration.
"""

from snakemake.utils import min_version

min_version("9.19")


if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/stimuli.smk"
include: "workflow/rules/preprocess.smk"
include: "workflow/rules/reconstruct.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/embedded.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        [
            RESULTS
            / name
            / ("report/index.html" if section.videos else "regression/predictions.h5")
            for name, section in CONFIG.experiments.items()
        ],
