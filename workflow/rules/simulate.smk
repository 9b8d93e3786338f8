"""A simulated study, written as files."""

if SIMULATED:

    rule simulate_stimuli:
        output:
            stimuli="{root}/stimuli.tsv",
        log:
            LOGS / "simulate/{root}/stimuli.log",
        conda:
            "../../envs/fmri.yaml"
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            study=lambda wildcards: SIMULATED[wildcards.root],
            section=lambda wildcards: dump_options(
                CONFIG.studies[SIMULATED[wildcards.root]].simulation
            ),
            code=code_digest("brainflix.simulation.stage"),
        shell:
            "python -m brainflix --log {log:q} simulate --study {params.study}" " --config $CONFIG"

    rule simulate_subject:
        input:
            stimuli="{root}/stimuli.tsv",
        output:
            scans="{root}/{subject}/{subject}_scans.tsv",
        log:
            LOGS / "simulate/{root}/{subject}.log",
        conda:
            "../../envs/fmri.yaml"
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            study=lambda wildcards: SIMULATED[wildcards.root],
            section=lambda wildcards: dump_options(
                CONFIG.studies[SIMULATED[wildcards.root]].simulation
            ),
            code=code_digest("brainflix.simulation.stage"),
        shell:
            "python -m brainflix --log {log:q} simulate --study {params.study}"
            " --no-stimuli --subject {wildcards.subject} --config $CONFIG"
