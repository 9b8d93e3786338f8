"""From BOLD runs to the selected voxels' responses, a subject at a time."""


rule clean:
    input:
        files=lambda wildcards: source_files(wildcards.study, wildcards.subject),
    output:
        cleaned=RESULTS / "{study}/{subject}/cleaned.h5",
    log:
        "logs/clean/{study}/{subject}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        source=source,
        options=of_study("preprocessing", "cleaning"),
        code=code_digest("brainflix.preprocessing.clean"),
    shell:
        "python -m brainflix --log {log} clean --source {params.source:q}"
        " --subject {wildcards.subject} --options {params.options:q} --out {output.cleaned:q}"


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
        "logs/select/{study}/{subject}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        options=of_study("preprocessing", "selection"),
        code=code_digest("brainflix.preprocessing.select"),
    shell:
        "python -m brainflix --log {log} select {input.cleaned:q}"
        " --options {params.options:q} --out {output.voxels:q} --plot {output.plot:q}"


rule extract:
    input:
        cleaned=RESULTS / "{study}/{subject}/cleaned.h5",
        voxels=RESULTS / "{study}/{subject}/voxels.h5",
    output:
        responses=RESULTS / "{study}/{subject}/responses.h5",
    log:
        "logs/extract/{study}/{subject}.log",
    conda:
        "../../envs/fmri.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        options=of_study("preprocessing", "response"),
        code=code_digest("brainflix.preprocessing.extract"),
    shell:
        "python -m brainflix --log {log} extract {input.cleaned:q} {input.voxels:q}"
        " --options {params.options:q} --out {output.responses:q}"
