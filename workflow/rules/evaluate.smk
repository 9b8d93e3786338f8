"""From videos to numbers, and to the page that a person opens."""


rule evaluate:
    input:
        unpack(judged),
    output:
        metrics=RESULTS / "{experiment}/evaluation/metrics.json",
        clips=RESULTS / "{experiment}/evaluation/clips.parquet",
    log:
        LOGS / "evaluate/{experiment}.log",
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
        "python -m brainflix --log {log:q} score {wildcards.experiment} --config $CONFIG"


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
        LOGS / "report/{experiment}.log",
    conda:
        "../../envs/deep.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        configuration=lambda wildcards: CONFIG.described(wildcards.experiment),
        code=code_digest("brainflix.report.stage"),
    shell:
        "python -m brainflix --log {log:q} report {wildcards.experiment} --config $CONFIG"
