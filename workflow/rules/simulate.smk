"""A simulated study, written as files."""


rule simulate_stimuli:
    output:
        stimuli="{root}/stimuli.tsv",
    log:
        "logs/simulate/{root}/stimuli.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        options=lambda wildcards: dump_options(SIMULATED[wildcards.root]),
        code=code_digest("brainflix.simulation.stage"),
    shell:
        "python -m brainflix --log {log} simulate {wildcards.root:q} --options {params.options:q}"


rule simulate_subject:
    input:
        stimuli="{root}/stimuli.tsv",
    output:
        scans="{root}/{subject}/{subject}_scans.tsv",
    log:
        "logs/simulate/{root}/{subject}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        options=lambda wildcards: dump_options(SIMULATED[wildcards.root]),
        code=code_digest("brainflix.simulation.stage"),
    shell:
        "python -m brainflix --log {log} simulate {wildcards.root:q} --no-stimuli"
        " --subjects {wildcards.subject} --options {params.options:q}"
