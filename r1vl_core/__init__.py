"""The science of r1vl, wing by wing. It runs by hand, in a notebook, without a server; it knows no Prefect and no MLflow.

config/       every dial on one page            records.py   the rows that cross a stage      report.py   what a training loop yields
prompts/      prompt templates, by name
reasoning/    text alone: the grammar of a path, answers, key steps, the two rewards
data/         the only wing that speaks DuckDB: readers, pictures, curation, key-step extraction
policy/       a vision-language model: load, encode, sample, score
training/     warm-up and StepGRPO, with checkpoints that resume to the bit
evaluation/   held-out questions answered in batches, with intervals
reporting/    one self-contained page of what was learnt
handwriting/  the bundled world and its tiny model
"""
