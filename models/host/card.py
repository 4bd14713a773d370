"""The model card of `host` as Markdown, from its figures; measures nothing."""

CARD = """# Encoder `host`

{artifact_bytes:,} bytes on the device (`encoder.ren`, compiled from `encoder.tflite`, {tflite_bytes:,} bytes),
{macs:,} multiply-accumulates, {arena_bytes} bytes of arena. CID of the `.tflite`:
`{model}`.

**What it does.** It turns 1.6 s of a machine's signals (32 samples, 50 ms apart, of {channels})
into {embedding} int8 values. A sample enters as `clamp((raw - offset) >> shift, -128, 127)` with offsets
{offsets} and shifts {shifts} (`host.json`); raw temperature is in 1/256 degC, the others
are 20 counts a percent. A value of the embedding is {scale:.6g} * (q - zero point), zero point {zero_point}.

**What it was trained on.** Synthetic signals only (`signals.py`, seeded): drifting loads with bursts, memory ramps,
load averages, temperatures that follow the load. Nothing of a real machine is in it, and no figure below says how it
does on one. It is an auto-encoder; nobody labelled anything.

**How it was trained.** `python -m models.train host`: JAX, seeded, one thread; then post-training int8 quantisation.
On one machine every run gives the same bytes; on another the figures should stay within {relative:.0%} (errors) and
{auc:.2f} (AUC) of these.
These files were made on {platform}.

## Figures (held-out machines, {held_out} windows; errors are mean squares of values between -1 and 1)

| figure | float | int8 on the device |
|---|---|---|
| reconstruction error (of the mean window: {error_of_the_mean_window:.4g}) | {error_float:.4g} | {error_int8:.4g} |
{aucs}

AUC: the chance that a window with an injected anomaly lies farther (Mahalanobis) from the training embeddings than an
ordinary window; 0.5 is guessing.

## Loss, mean of each 100 steps

{losses}
"""


def render_card(figures: dict, host: dict, held_out: int) -> str:
    measured = figures["figures"]
    kinds = [name.removeprefix("auc_float") for name in measured if name.startswith("auc_float")]
    rows = [
        f"| AUC,{kind or ' mean of all'} | {measured[f'auc_float{kind}']:.3f} | {measured[f'auc_int8{kind}']:.3f} |"
        for kind in kinds
    ]
    return CARD.format(
        **figures["facts"],
        **figures["tolerance"],
        model=figures["model"],
        embedding=host["embedding"],
        channels=", ".join(host["channels"]),
        offsets=list(host["offsets"]),
        shifts=list(host["shifts"]),
        scale=host["scale"],
        zero_point=host["zero_point"],
        held_out=held_out,
        platform=", ".join(f"{name} {value}" for name, value in figures["platform"].items()),
        error_of_the_mean_window=measured["error_of_the_mean_window"],
        error_float=measured["error_float"],
        error_int8=measured["error_int8"],
        aucs="\n".join(rows),
        losses=" ".join(f"{loss:.4f}" for loss in figures["losses"]),
    )
