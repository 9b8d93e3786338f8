"""From fMRI runs and watched videos to reconstructed videos and a page that shows them.

`snakemake --cores all all` runs config.yaml; `--configfile other.yaml` replaces it, and
`--config 'key=value'` changes a part of it. Each rule runs one stage of the package; the names of
its wildcards and the file of the resolved configuration tell the stage what to do.
"""

from snakemake.utils import min_version

min_version("9.19")


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/stimuli.smk"
include: "workflow/rules/preprocess.smk"
include: "workflow/rules/decode.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/embedded.smk"


report: "workflow/report/workflow.rst"


onstart:
    freeze(CONFIG)


rule all:
    default_target: True
    input:
        [file for name in CONFIG.experiments for file in results_of(name)],
