"""From responses to predicted targets: the decoding paths, and models learnt on the way.

A rule whose stage no experiment has does not exist. `branch` is a decoding path's folder below the
results: EXPERIMENT, or EXPERIMENT/paths/NAME.
"""


def section_of(branch):
    """Return a decoding path's section."""
    experiment, path = BRANCHES[branch]
    return CONFIG.experiments[experiment].decoding_paths()[path]


def named(wildcards):
    """Return what names a decoding path on the command line."""
    experiment, path = BRANCHES[wildcards.branch]
    return experiment if path == MAIN else f"{experiment} --path {path}"


def aligned_files(wildcards):
    experiment, section = BRANCHES[wildcards.branch][0], section_of(wildcards.branch).alignment
    return {
        **trials_of(experiment),
        "targets": of_studies(experiment, "target", section.target),
        "models": made(experiment, section),
    }


def regressed_files(wildcards):
    experiment, path = BRANCHES[wildcards.branch]
    section, shared = section_of(wildcards.branch).regression, LAYOUT.shared(experiment, path)
    targets = [
        file for target in section.heads for file in of_studies(experiment, "target", target)
    ]
    return {
        **trials_of(experiment),
        "targets": targets,
        "models": made(experiment, section),
        "shared": [] if shared is None else [shared],
    }


def align_code(wildcards):
    component = section_of(wildcards.branch).alignment.component
    return code_digest("brainflix.alignment.stage", BRAIN_ENCODERS.module(component))


def regress_code(wildcards):
    section = section_of(wildcards.branch).regression
    losses = {name for head in section.heads.values() for name in head.losses}
    return code_digest(
        "brainflix.regression.stage",
        REGRESSORS.module(section.component),
        *sorted({LOSSES.module(name) for name in losses}),
    )


def restored_files(wildcards):
    experiment, path = BRANCHES[wildcards.branch]
    folder = LAYOUT.regression(experiment, path)
    return {
        "predictions": folder / "predictions.h5",
        "restorable": folder / "restorable.h5",
        "targets": [
            file
            for target in section_of(wildcards.branch).priors
            for file in of_studies(experiment, "target", target)
        ],
        "stimuli": of_studies(experiment, "stimuli"),
    }


def restore_code(wildcards):
    priors = section_of(wildcards.branch).priors.values()
    return code_digest(
        "brainflix.prior.stage", *sorted({PRIORS.module(prior.component) for prior in priors})
    )


ALIGNED = [branch for branch in BRANCHES if section_of(branch).alignment]
REGRESSED = [branch for branch in BRANCHES if section_of(branch).regression]
RESTORED = [branch for branch in BRANCHES if section_of(branch).priors]
PRETRAINED = [name for one in CONFIG.experiments.values() for name in one.pretraining]
FINETUNED = [name for one in CONFIG.experiments.values() for name in one.finetuning]

if set(ALIGNED) & set(REGRESSED):

    rule align:
        input:
            unpack(aligned_files),
        output:
            shared=RESULTS / "{branch}/alignment/shared.h5",
            history=RESULTS / "{branch}/alignment/history.json",
        wildcard_constraints:
            branch=one_of(branch for branch in ALIGNED if branch in REGRESSED),
        log:
            LOGS + "/align/{branch}.log",
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
            "{PYTHON} -m brainflix --log {log:q} align {params.named} --config {CONFIG_FILE:q}"


if set(ALIGNED) - set(REGRESSED):

    rule align_and_predict:
        input:
            unpack(aligned_files),
        output:
            shared=RESULTS / "{branch}/alignment/shared.h5",
            history=RESULTS / "{branch}/alignment/history.json",
            predictions=RESULTS / "{branch}/alignment/predictions.h5",
        wildcard_constraints:
            branch=one_of(branch for branch in ALIGNED if branch not in REGRESSED),
        log:
            LOGS + "/align/{branch}.log",
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
            "{PYTHON} -m brainflix --log {log:q} align {params.named} --config {CONFIG_FILE:q}"


if set(REGRESSED) - set(RESTORED):

    rule regress:
        input:
            unpack(regressed_files),
        output:
            predictions=RESULTS / "{branch}/regression/predictions.h5",
            history=RESULTS / "{branch}/regression/history.json",
        wildcard_constraints:
            branch=one_of(branch for branch in REGRESSED if branch not in RESTORED),
        log:
            LOGS + "/regress/{branch}.log",
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
            "{PYTHON} -m brainflix --log {log:q} regress {params.named} --config {CONFIG_FILE:q}"


if RESTORED:

    rule regress_for_priors:
        input:
            unpack(regressed_files),
        output:
            predictions=RESULTS / "{branch}/regression/predictions.h5",
            restorable=RESULTS / "{branch}/regression/restorable.h5",
            history=RESULTS / "{branch}/regression/history.json",
        wildcard_constraints:
            branch=one_of(RESTORED),
        log:
            LOGS + "/regress/{branch}.log",
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
            "{PYTHON} -m brainflix --log {log:q} regress {params.named} --config {CONFIG_FILE:q}"


    rule restore:
        input:
            unpack(restored_files),
        output:
            predictions=RESULTS / "{branch}/prior/predictions.h5",
        wildcard_constraints:
            branch=one_of(RESTORED),
        log:
            LOGS + "/restore/{branch}.log",
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
            "{PYTHON} -m brainflix --log {log:q} restore {params.named} --config {CONFIG_FILE:q}"


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
        wildcard_constraints:
            name=one_of(PRETRAINED),
        log:
            LOGS + "/pretrain/{experiment}/{name}.log",
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
            "{PYTHON} -m brainflix --log {log:q} pretrain {wildcards.experiment} {wildcards.name}"
            " --config {CONFIG_FILE:q}"


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
        wildcard_constraints:
            name=one_of(FINETUNED),
        log:
            LOGS + "/finetune/{experiment}/{name}.log",
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
            "{PYTHON} -m brainflix --log {log:q} finetune {wildcards.experiment} {wildcards.name}"
            " --config {CONFIG_FILE:q}"
