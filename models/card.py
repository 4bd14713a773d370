"""The model card as Markdown, from a recipe's words and what was measured; measures nothing itself."""

import textwrap

from models.measure import BASELINE, WAYS

LINE = 120
CARD = """# Encoder `{name}`

{artifact_bytes:,} bytes on the device (`encoder.ren`, compiled from `encoder.tflite`, {tflite_bytes:,} bytes),
{macs:,} multiply-accumulates, {arena_bytes:,} bytes of arena. CID of the `.tflite`:
`{model}`.

{does}

{enters}

{data}

{licence}

{made}

{limits}

## Figures ({held_out:,} held-out windows; the encoder learnt from {train:,})

{figures}

{meanings}
{elsewhere}
## Pictures

{pictures}
"""
ENTERS = (
    "A window is {window[0]} samples, {sample_ms:,} ms apart, of {listed}. A raw value enters as "
    "`clamp((raw - offset) >> shift, -128, 127)` with offsets {offsets} and shifts {shifts} (`{name}.json`). A window "
    "becomes {embedding} int8 values; the real value of each is {scale:.6g} * (q - zero point); zero point: "
    "{zero_point}."
)
MADE = (
    "**How it was made.** `tinyren model train {name}`: an auto-encoder of ordinary windows, trained with JAX, "
    "seeded, in one thread; then int8 quantisation after training. Training sees no label. On one machine every run "
    "gives the same bytes; on another the figures should stay within {tolerances} of these. The parameters "
    "(`parameters.f32`) were trained on {trained_on}; `tinyren model export {name}` made the other files of them on "
    "{platform}."
)
ELSEWHERE = """
## The same network on data that is not in this tree

Trained anew on each, not shipped; how far its rows lie apart shows what another seed or split makes of the figures.
Measured on {platform}.

{rows}

{notes}
"""
MEANINGS = {
    "error": "error: mean square of what the decoder restores, of values in -1 to 1; the baseline is the mean window.",
    "auc": "auc: the chance that an anomalous window lies farther (Mahalanobis) from the training windows' embeddings "
           "than an ordinary one; 0.5 is guessing.",
    "accuracy": "accuracy: of a linear head (logistic regression) on the embeddings of labelled training windows.",
}  # fmt: skip
WAYS_MEANING = (
    "int8 is the `.tflite` in tflite-runtime's reference kernels, device the artifact in the C kernels of every "
    "board: {identical:,} of {compared:,} windows gave the same bytes in both."
)
BASELINE_MEANING = (
    "The baseline takes the mean and the spread of each channel in place of the embedding, without a network: where it "
    "is higher, those few numbers would do better here."
)
TOLERANCES = {
    "error": "{error:.0%} (error)",
    "auc": "{auc:.2f} (auc; of one kind {kind:.2f})",
    "accuracy": "{accuracy:.2f} (accuracy)",
}
TITLES = {"does": "What it does", "data": "Data", "licence": "Licence", "limits": "Limits"}
ALT = {
    "curves.svg": "loss while training",
    "roc.svg": "anomalies found against false alarms",
    "confusion.svg": "confusion matrix",
}


def render_card(about: dict[str, str], facts: dict, found: dict, elsewhere: dict, files: list[str]) -> str:
    """The text of card.md.

    Args:
        about: does, data, licence, limits.
        facts: NAME.json. found: figures.json. elsewhere: elsewhere.json, or empty.
        files: names of the model's files; pictures are shown.
    """
    kinds = [name for name in MEANINGS if name in found["figures"]]
    meanings = [WAYS_MEANING.format(**found["windows"]), *(MEANINGS[name] for name in kinds)]
    meanings += [BASELINE_MEANING] * (kinds != ["error"])
    return CARD.format(
        **found["facts"], **found["windows"], name=facts["name"], model=facts["model"],
        **{name: _wrap(f"**{title}.** {about[name]}") for name, title in TITLES.items()},
        enters=_wrap(ENTERS.format(**facts, listed=", ".join(facts["channels"]))),
        made=_wrap(MADE.format(
            name=facts["name"], trained_on=_platform(found["trained_on"]),
            platform="the same" if found["platform"] == found["trained_on"] else _platform(found["platform"]),
            tolerances=" and ".join(TOLERANCES[name].format(**found["tolerance"]) for name in kinds))),
        figures=_table({"": found["figures"]}), meanings="\n".join(_wrap(f"* {meaning}", "  ") for meaning in meanings),
        elsewhere=_elsewhere(elsewhere),
        pictures="\n".join(f"![{ALT[name]}]({name})" for name in files if name in ALT))  # fmt: skip


def _wrap(text: str, indent: str = "") -> str:
    """Lines of at most LINE, the second and later ones indented."""
    return textwrap.fill(text, LINE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _platform(platform: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in platform.items())


def _elsewhere(elsewhere: dict) -> str:
    if not elsewhere:
        return ""
    sets = {name: value for name, value in elsewhere.items() if name != "platform"}
    notes = dict.fromkeys(f"{value['about']['data']} Licence: {value['about']['licence']}" for value in sets.values())
    counts = {name: value["windows"] for name, value in sets.items()}
    told = "; ".join(f"{name}: {count['train']:,} and {count['held_out']:,}" for name, count in counts.items())
    notes[f"Windows learnt from and held out: {told}."] = None
    rows = _table({name: value["figures"] for name, value in sets.items()})
    return ELSEWHERE.format(
        platform=_platform(elsewhere["platform"]), rows=rows,
        notes="\n".join(_wrap(f"* {note}", "  ") for note in notes))  # fmt: skip


def _table(groups: dict[str, dict]) -> str:
    """A row a figure of each group, a column a way."""
    lines = [f"| figure | {' | '.join(WAYS)} | {BASELINE} |", "|---" * (len(WAYS) + 2) + "|"]
    for group, figures in groups.items():
        lines += [
            f"| {group + ': ' if group else ''}{name} | "
            + " | ".join(f"{row[way]:.4g}" if name == "error" else f"{row[way]:.3f}" for way in (*WAYS, BASELINE))
            + " |"
            for name, row in figures.items()
        ]
    return "\n".join(lines)
