"""From predicted targets to clips and captions: the nodes of an experiment's graph."""


rule generate:
    input:
        files=node_files,
    output:
        videos=RESULTS / "{experiment}/videos/{study}/{subject}.h5",
        mp4=report(
            directory(RESULTS / "{experiment}/videos/{study}/{subject}"),
            patterns=["{clip}.mp4"],
            caption="../report/videos.rst",
            category="Videos",
            subcategory="{experiment}",
            labels={"study": "{study}", "subject": "{subject}", "clip": "{clip}"},
        ),
    log:
        LOGS / "generate/{experiment}/{study}/{subject}.log",
    conda:
        "../../envs/deep.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=480,
    params:
        section=lambda wildcards: dump_options(node_of(wildcards)),
        models=lambda wildcards: digests(node_of(wildcards)),
        code=node_code(GENERATORS),
    shell:
        "python -m brainflix --log {log:q} generate {wildcards.experiment} {wildcards.study}"
        " {wildcards.subject} --config $CONFIG"


if places("generators"):

    rule generate_input:
        input:
            files=node_files,
        output:
            videos=RESULTS / "{experiment}/{place}/{study}/{subject}.h5",
        log:
            LOGS / "generate/{experiment}/{place}/{study}/{subject}.log",
        wildcard_constraints:
            place=one_of(places("generators")),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=480,
        params:
            name=lambda wildcards: wildcards.place.partition("/")[2],
            baselines=baselines,
            section=lambda wildcards: dump_options(node_of(wildcards)),
            models=lambda wildcards: digests(node_of(wildcards)),
            code=node_code(GENERATORS),
        shell:
            "python -m brainflix --log {log:q} generate {wildcards.experiment} {wildcards.study}"
            " {wildcards.subject} --generator {params.name} --config $CONFIG"


if places("captioners"):

    rule caption:
        input:
            files=node_files,
        output:
            captions=RESULTS / "{experiment}/{place}/{study}/{subject}.h5",
        log:
            LOGS / "caption/{experiment}/{place}/{study}/{subject}.log",
        wildcard_constraints:
            place=one_of(places("captioners")),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=8000,
            runtime=120,
        params:
            name=lambda wildcards: wildcards.place.partition("/")[2],
            baselines=baselines,
            section=lambda wildcards: dump_options(node_of(wildcards)),
            models=lambda wildcards: digests(node_of(wildcards)),
            code=node_code(CAPTIONERS),
        shell:
            "python -m brainflix --log {log:q} caption {wildcards.experiment} {params.name}"
            " {wildcards.study} {wildcards.subject} --config $CONFIG"
