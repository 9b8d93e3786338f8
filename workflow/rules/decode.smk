"""From responses to predicted targets: the decoding paths, and models learnt on the way.

A rule whose stage no experiment has does not exist. `branch` is a decoding path's folder below the
results: EXPERIMENT, or EXPERIMENT/paths/NAME.
"""

if set(ALIGNED) & set(REGRESSED):

    rule align:
        input:
            unpack(aligned_files),
        output:
            shared=RESULTS / "{branch}/alignment/shared.h5",
            history=RESULTS / "{branch}/alignment/history.json",
        log:
            LOGS / "align/{branch}.log",
        wildcard_constraints:
            branch=one_of(branch for branch in ALIGNED if branch in REGRESSED),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=480,
        params:
            named=named,
            section=lambda wildcards: dump_options(section_of(wildcards.branch).alignment),
            models=lambda wildcards: digests(section_of(wildcards.branch).alignment),
            code=align_code,
        shell:
            "python -m brainflix --log {log:q} align {params.named} --config $CONFIG"


if set(ALIGNED) - set(REGRESSED):

    rule align_and_predict:
        input:
            unpack(aligned_files),
        output:
            shared=RESULTS / "{branch}/alignment/shared.h5",
            history=RESULTS / "{branch}/alignment/history.json",
            predictions=RESULTS / "{branch}/alignment/predictions.h5",
        log:
            LOGS / "align/{branch}.log",
        wildcard_constraints:
            branch=one_of(branch for branch in ALIGNED if branch not in REGRESSED),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=480,
        params:
            named=named,
            section=lambda wildcards: dump_options(section_of(wildcards.branch).alignment),
            models=lambda wildcards: digests(section_of(wildcards.branch).alignment),
            code=align_code,
        shell:
            "python -m brainflix --log {log:q} align {params.named} --config $CONFIG"


if set(REGRESSED) - set(RESTORED):

    rule regress:
        input:
            unpack(regressed_files),
        output:
            predictions=RESULTS / "{branch}/regression/predictions.h5",
            history=RESULTS / "{branch}/regression/history.json",
        log:
            LOGS / "regress/{branch}.log",
        wildcard_constraints:
            branch=one_of(branch for branch in REGRESSED if branch not in RESTORED),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=480,
        params:
            named=named,
            section=lambda wildcards: dump_options(section_of(wildcards.branch).regression),
            models=lambda wildcards: digests(section_of(wildcards.branch).regression),
            code=regress_code,
        shell:
            "python -m brainflix --log {log:q} regress {params.named} --config $CONFIG"


if RESTORED:

    rule regress_for_priors:
        input:
            unpack(regressed_files),
        output:
            predictions=RESULTS / "{branch}/regression/predictions.h5",
            restorable=RESULTS / "{branch}/regression/restorable.h5",
            history=RESULTS / "{branch}/regression/history.json",
        log:
            LOGS / "regress/{branch}.log",
        wildcard_constraints:
            branch=one_of(RESTORED),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=480,
        params:
            named=named,
            restorable=lambda wildcards: [*section_of(wildcards.branch).priors],
            section=lambda wildcards: dump_options(section_of(wildcards.branch).regression),
            models=lambda wildcards: digests(section_of(wildcards.branch).regression),
            code=regress_code,
        shell:
            "python -m brainflix --log {log:q} regress {params.named} --config $CONFIG"

    rule restore:
        input:
            unpack(restored_files),
        output:
            predictions=RESULTS / "{branch}/prior/predictions.h5",
        log:
            LOGS / "restore/{branch}.log",
        wildcard_constraints:
            branch=one_of(RESTORED),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=480,
        params:
            named=named,
            section=lambda wildcards: {
                target: dump_options(prior)
                for target, prior in section_of(wildcards.branch).priors.items()
            },
            targets=lambda wildcards: {
                target: dump_options(CONFIG.targets[target])
                for target in section_of(wildcards.branch).priors
            },
            models=lambda wildcards: [
                digests(CONFIG.targets[target]) for target in section_of(wildcards.branch).priors
            ],
            code=restore_code,
        shell:
            "python -m brainflix --log {log:q} restore {params.named} --config $CONFIG"


if PRETRAINED:

    rule pretrain:
        input:
            cleaned=lambda wildcards: [
                LAYOUT.cleaned(*pair)
                for pair in LAYOUT.pretraining_subjects(wildcards.experiment, wildcards.name)
            ],
            voxels=lambda wildcards: [
                LAYOUT.voxels(*pair)
                for pair in LAYOUT.pretraining_subjects(wildcards.experiment, wildcards.name)
            ],
            models=lambda wildcards: made(
                wildcards.experiment,
                CONFIG.experiments[wildcards.experiment].pretraining[wildcards.name],
            ),
        output:
            mark=RESULTS / "{experiment}/pretraining/{name}/brainflix_model.json",
        log:
            LOGS / "pretrain/{experiment}/{name}.log",
        wildcard_constraints:
            name=one_of(PRETRAINED),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=1440,
        params:
            section=lambda wildcards: dump_options(
                CONFIG.experiments[wildcards.experiment].pretraining[wildcards.name]
            ),
            code=lambda wildcards: code_digest(
                "brainflix.pretraining.stage",
                PRETRAININGS.module(
                    CONFIG.experiments[wildcards.experiment].pretraining[wildcards.name].component
                ),
            ),
        shell:
            "python -m brainflix --log {log:q} pretrain {wildcards.experiment} {wildcards.name}"
            " --config $CONFIG"


if FINETUNED:

    rule finetune:
        input:
            unpack(lambda wildcards: trials_of(wildcards.experiment)),
            targets=lambda wildcards: [
                file
                for target in CONFIG.experiments[wildcards.experiment]
                .finetuning[wildcards.name]
                .targets
                for file in of_studies(wildcards.experiment, "target", target)
            ],
            models=lambda wildcards: made(
                wildcards.experiment,
                CONFIG.experiments[wildcards.experiment].finetuning[wildcards.name],
            ),
        output:
            mark=RESULTS / "{experiment}/finetuning/{name}/brainflix_model.json",
        log:
            LOGS / "finetune/{experiment}/{name}.log",
        wildcard_constraints:
            name=one_of(FINETUNED),
        conda:
            "../../envs/deep.yaml"
        threads: 1
        resources:
            mem_mb=16000,
            runtime=1440,
        params:
            section=lambda wildcards: dump_options(
                CONFIG.experiments[wildcards.experiment].finetuning[wildcards.name]
            ),
            code=lambda wildcards: code_digest(
                "brainflix.finetuning.stage",
                FINETUNINGS.module(
                    CONFIG.experiments[wildcards.experiment].finetuning[wildcards.name].component
                ),
            ),
        shell:
            "python -m brainflix --log {log:q} finetune {wildcards.experiment} {wildcards.name}"
            " --config $CONFIG"
