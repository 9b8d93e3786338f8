"""From BOLD runs to the selected voxels' responses, one subject at a time."""


rule clean:
    input:
        files=lambda wildcards: source_files(wildcards.study, wildcards.subject),
    output:
        cleaned=RESULTS / "{study}/{subject}/cleaned.h5",
    log:
        LOGS / "clean/{study}/{subject}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        source=source,
        section=of_study("preprocessing", "cleaning"),
        code=lambda wildcards: code_digest(
            "brainflix.preprocessing.clean", READERS.module(CONFIG.studies[wildcards.study].reader)
        ),
    shell:
        "python -m brainflix --log {log:q} clean {wildcards.study} {wildcards.subject}"
        " --config $CONFIG"


rule select:
    input:
        cleaned=RESULTS / "{study}/{subject}/cleaned.h5",
    output:
        voxels=RESULTS / "{study}/{subject}/voxels.h5",
        plot=report(
            RESULTS / "{study}/{subject}/voxels.png",
            caption="../report/voxels.rst",
            category="Voxels",
            labels={"study": "{study}", "subject": "{subject}"},
        ),
    log:
        LOGS / "select/{study}/{subject}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        section=of_study("preprocessing", "selection"),
        code=code_digest("brainflix.preprocessing.select"),
    shell:
        "python -m brainflix --log {log:q} select {wildcards.study} {wildcards.subject}"
        " --config $CONFIG"


rule extract:
    input:
        cleaned=RESULTS / "{study}/{subject}/cleaned.h5",
        voxels=RESULTS / "{study}/{subject}/voxels.h5",
    output:
        responses=RESULTS / "{study}/{subject}/responses.h5",
    log:
        LOGS / "extract/{study}/{subject}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        section=of_study("preprocessing", "response"),
        code=code_digest("brainflix.preprocessing.extract"),
    shell:
        "python -m brainflix --log {log:q} extract {wildcards.study} {wildcards.subject}"
        " --config $CONFIG"
