"""From predicted targets to clips and captions: the nodes of an experiment's graph."""


def node_code(kind):
    """Return a params function: the digest of the stage's code and of the node's component."""

    def digest(wildcards):
        node = node_of(wildcards)
        return code_digest("brainflix.generation.stage", kind.module(node.component))

    return digest


def node_of(wildcards):
    place = getattr(wildcards, "place", VIDEOS)
    return NODES[f"{wildcards.experiment}/{place}"]


def node_files(wildcards):
    node = node_of(wildcards)
    return inputs_of(wildcards.experiment, node, wildcards.study, wildcards.subject)


def baselines(wildcards):
    """Return the variants next to the network's, which the final generator decides for all."""
    return CONFIG.experiments[wildcards.experiment].generation.baselines


def places(kind):
    return sorted({name.partition("/")[2] for name in NODES if f"/{kind}/" in name})


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
        LOGS + "/generate/{experiment}/{study}/{subject}.log",
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
        "{PYTHON} -m brainflix --log {log:q} generate {wildcards.experiment} {wildcards.study}"
        " {wildcards.subject} --config {CONFIG_FILE:q}"


if places("generators"):

    rule generate_input:
        input:
            files=node_files,
        output:
            videos=RESULTS / "{experiment}/{place}/{study}/{subject}.h5",
        log:
            LOGS + "/generate/{experiment}/{place}/{study}/{subject}.log",
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
            "{PYTHON} -m brainflix --log {log:q} generate {wildcards.experiment} {wildcards.study}"
            " {wildcards.subject} --generator {params.name} --config {CONFIG_FILE:q}"


if places("captioners"):

    rule caption:
        input:
            files=node_files,
        output:
            captions=RESULTS / "{experiment}/{place}/{study}/{subject}.h5",
        log:
            LOGS + "/caption/{experiment}/{place}/{study}/{subject}.log",
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
            "{PYTHON} -m brainflix --log {log:q} caption {wildcards.experiment} {params.name}"
            " {wildcards.study} {wildcards.subject} --config {CONFIG_FILE:q}"
