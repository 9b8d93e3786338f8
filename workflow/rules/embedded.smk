"""The small models that are shipped with the package, trained anew."""


rule embedded_models:
    output:
        folder=directory(RESULTS / "embedded_models"),
    log:
        LOGS / "embedded_models.log",
    conda:
        "../../envs/deep.yaml"
    threads: 8
    resources:
        mem_mb=16000,
        runtime=480,
    params:
        seed=0,
        code=code_digest("brainflix.embedded.training.run"),
    shell:
        "python -m brainflix --log {log:q} train-embedded --seed {params.seed} --out {output.folder:q}"
