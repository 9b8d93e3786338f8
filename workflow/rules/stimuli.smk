"""From watched videos to frames, and from frames to targets."""


rule decode:
    input:
        files=lambda wildcards: source_files(wildcards.study),
    output:
        stimuli=RESULTS / "{study}/stimuli.h5",
    log:
        "logs/decode/{study}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        source=source,
        options=dump_options(CONFIG.stimuli),
        code=code_digest("brainflix.targets.decode"),
    shell:
        "python -m brainflix --log {log} decode --source {params.source:q}"
        " --options {params.options:q} --out {output.stimuli:q}"


rule encode:
    input:
        stimuli=RESULTS / "{study}/stimuli.h5",
    output:
        target=RESULTS / "{study}/targets/{target}.h5",
    log:
        "logs/encode/{study}/{target}.log",
    conda:
        "../../envs/deep.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        options=lambda wildcards: dump_options(CONFIG.targets[wildcards.target]),
        models=lambda wildcards: models(CONFIG.targets[wildcards.target].model),
        code=code_digest("brainflix.targets.stage"),
    shell:
        "python -m brainflix --log {log} encode {input.stimuli:q}"
        " --options {params.options:q} --out {output.target:q}"
