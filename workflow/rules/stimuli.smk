"""From watched videos to frames, and from frames to targets."""


rule decode:
    input:
        files=lambda wildcards: source_files(wildcards.study),
    output:
        stimuli=RESULTS / "{study}/stimuli.h5",
    log:
        LOGS / "decode/{study}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        source=source,
        section=dump_options(CONFIG.stimuli),
        code=lambda wildcards: code_digest(
            "brainflix.targets.decode", READERS.module(CONFIG.studies[wildcards.study].reader)
        ),
    shell:
        "python -m brainflix --log {log:q} decode {wildcards.study} --config $CONFIG"


rule encode:
    input:
        stimuli=RESULTS / "{study}/stimuli.h5",
    output:
        target=RESULTS / "{study}/targets/{target}.h5",
    log:
        LOGS / "encode/{study}/{target}.log",
    conda:
        "../../envs/deep.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        section=lambda wildcards: dump_options(CONFIG.targets[wildcards.target]),
        models=lambda wildcards: digests(CONFIG.targets[wildcards.target]),
        code=lambda wildcards: code_digest(
            "brainflix.targets.stage", ENCODERS.module(CONFIG.targets[wildcards.target].encoder)
        ),
    shell:
        "python -m brainflix --log {log:q} encode {wildcards.study} {wildcards.target}"
        " --config $CONFIG"
