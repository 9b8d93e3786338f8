"""From videos to numbers, and to the page that a person opens."""

videos = each_subject("{experiment}/videos/{study}/{subject}.h5")


rule evaluate:
    input:
        predictions=RESULTS / "{experiment}/regression/predictions.h5",
        videos=files(videos),
        stimuli=files(stimuli),
        targets=files(regressed_targets),
        compare=compared,
    output:
        metrics=RESULTS / "{experiment}/evaluation/metrics.json",
        clips=RESULTS / "{experiment}/evaluation/clips.parquet",
    log:
        "logs/evaluate/{experiment}.log",
    conda:
        "../../envs/deep.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        videos=flags("--videos", videos),
        stimuli=flags("--stimuli", stimuli),
        targets=flags("--targets", regressed_targets),
        compare=lambda wildcards, input: f"--compare {input.compare}" if input.compare else "",
        folder=lambda wildcards, output: Path(output.metrics).parent,
        options=of_experiment("evaluation"),
        models=judges,
        code=code_digest("brainflix.evaluation.stage"),
    shell:
        "python -m brainflix --log {log} score {input.predictions:q} {params.videos}"
        " {params.stimuli} {params.targets} {params.compare}"
        " --options {params.options:q} --out {params.folder:q}"


rule report:
    input:
        artifacts=files(shown),
    output:
        page=report(
            RESULTS / "{experiment}/report/index.html",
            caption="../report/page.rst",
            category="Page",
            labels={"experiment": "{experiment}"},
        ),
        picture=RESULTS / "{experiment}/report/gallery.png",
    log:
        "logs/report/{experiment}.log",
    conda:
        "../../envs/deep.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        artifacts=flags("--artifacts", shown),
        configuration=lambda wildcards: json.dumps(CONFIG.described(wildcards.experiment)),
        code=code_digest("brainflix.report.stage"),
    shell:
        "python -m brainflix --log {log} report {wildcards.experiment} {params.artifacts}"
        " --configuration {params.configuration:q} --out {output.page:q}"
