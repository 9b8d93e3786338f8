"""From responses to videos: align, regress, generate."""

responses = each_subject("{study}/{subject}/responses.h5")
stimuli = each_study("{study}/stimuli.h5")
aligned_targets = each_study("{study}/targets/{aligned}.h5")


rule align:
    input:
        responses=files(responses),
        targets=files(aligned_targets),
        stimuli=files(stimuli),
    output:
        shared=RESULTS / "{experiment}/alignment/shared.h5",
        history=RESULTS / "{experiment}/alignment/history.json",
    log:
        "logs/align/{experiment}.log",
    conda:
        "../../envs/deep.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=480,
    params:
        responses=flags("--responses", responses),
        targets=flags("--targets", aligned_targets),
        stimuli=flags("--stimuli", stimuli),
        folder=lambda wildcards, output: Path(output.shared).parent,
        options=of_experiment("alignment"),
        code=code_digest("brainflix.alignment.stage"),
    shell:
        "python -m brainflix --log {log} align {params.responses} {params.targets} {params.stimuli}"
        " --options {params.options:q} --out {params.folder:q}"


rule regress:
    input:
        shared=RESULTS / "{experiment}/alignment/shared.h5",
        responses=files(responses),
        targets=files(regressed_targets),
        stimuli=files(stimuli),
    output:
        predictions=RESULTS / "{experiment}/regression/predictions.h5",
        history=RESULTS / "{experiment}/regression/history.json",
    log:
        "logs/regress/{experiment}.log",
    conda:
        "../../envs/deep.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=480,
    params:
        responses=flags("--responses", responses),
        targets=flags("--targets", regressed_targets),
        stimuli=flags("--stimuli", stimuli),
        folder=lambda wildcards, output: Path(output.predictions).parent,
        options=of_experiment("regression"),
        code=code_digest("brainflix.regression.stage"),
    shell:
        "python -m brainflix --log {log} regress {input.shared:q} {params.responses}"
        " {params.targets} {params.stimuli} --options {params.options:q} --out {params.folder:q}"


rule generate:
    input:
        predictions=RESULTS / "{experiment}/regression/predictions.h5",
        stimuli=RESULTS / "{study}/stimuli.h5",
        targets=files(generator_targets),
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
        "logs/generate/{experiment}/{study}/{subject}.log",
    conda:
        "../../envs/deep.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=480,
    params:
        targets=flags("--targets", generator_targets),
        options=of_experiment("generation"),
        models=lambda wildcards: models(CONFIG.experiments[wildcards.experiment].generation.model),
        code=code_digest("brainflix.generation.stage"),
    shell:
        "python -m brainflix --log {log} generate {input.predictions:q} {input.stimuli:q}"
        " {params.targets} --study {wildcards.study} --subject {wildcards.subject}"
        " --options {params.options:q} --out {output.videos:q} --mp4 {output.mp4:q}"
