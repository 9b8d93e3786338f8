"""From videos to numbers, and to the page that a person opens."""


def judged(wildcards):
    """Return what the evaluation of an experiment reads."""
    experiment = CONFIG.experiments[wildcards.experiment]
    first = next(iter(experiment.decoding_paths()))
    compare = experiment.compare
    return {
        "predictions": LAYOUT.predictions(wildcards.experiment, first),
        "videos": [
            LAYOUT.clips(wildcards.experiment, VIDEOS, *pair)
            for pair in LAYOUT.subjects(wildcards.experiment)
        ],
        "stimuli": of_studies(wildcards.experiment, "stimuli"),
        "targets": [
            file
            for target in experiment.predicted(first)
            for file in of_studies(wildcards.experiment, "target", target)
        ],
        "compare": [] if compare is None else [LAYOUT.predictions(compare)],
    }


def shown(wildcards):
    """Return what the page of an experiment shows."""
    from brainflix.cli.stages import shown_artifacts

    return list(shown_artifacts(LAYOUT, wildcards.experiment).values())


rule evaluate:
    input:
        unpack(judged),
    output:
        metrics=RESULTS / "{experiment}/evaluation/metrics.json",
        clips=RESULTS / "{experiment}/evaluation/clips.parquet",
    log:
        LOGS + "/evaluate/{experiment}.log",
    conda:
        "../../envs/deep.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        section=lambda wildcards: dump_options(CONFIG.experiments[wildcards.experiment].evaluation),
        models=lambda wildcards: digests(CONFIG.experiments[wildcards.experiment].evaluation),
        code=code_digest("brainflix.evaluation.stage", *(METRICS.module(name) for name in METRICS)),
    shell:
        "{PYTHON} -m brainflix --log {log:q} score {wildcards.experiment} --config {CONFIG_FILE:q}"


rule report:
    input:
        artifacts=shown,
    output:
        page=report(
            RESULTS / "{experiment}/report/index.html",
            caption="../report/page.rst",
            category="Page",
            labels={"experiment": "{experiment}"},
        ),
        picture=RESULTS / "{experiment}/report/gallery.png",
    log:
        LOGS + "/report/{experiment}.log",
    conda:
        "../../envs/deep.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        configuration=lambda wildcards: CONFIG.described(wildcards.experiment),
        code=code_digest("brainflix.report.stage"),
    shell:
        "{PYTHON} -m brainflix --log {log:q} report {wildcards.experiment} --config {CONFIG_FILE:q}"
