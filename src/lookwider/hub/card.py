"""The model card: what a model is, how it was made, what it reaches and where it fails."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lookwider.hub.record import RunRecord, data_name

METRICS = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "freq_weighted_iou": "frequency weighted IoU",
}

FOUND = 0.05
"""A class below this IoU is told as one that the model hardly finds."""

MOST_CONFUSIONS = 5
"""That a card tells."""

WRONG = "% of the wrong pixels"

SETTINGS = {
    "recipe": "recipe",
    "steps": "steps",
    "batch_size": "batch size",
    "optimizer": "optimiser",
    "base_lr": "learning rate",
    "weight_decay": "weight decay",
    "crop_size": "crop",
    "scale": "scales",
    "flip": "share mirrored",
    "pretrained": "trunk from ImageNet weights",
    "seed": "seed",
}
"""Settings of a training that a card tells, by their names in words."""


def model_card(
    record: RunRecord, repo: str, *, licence: str | None = None, picture: str | None = None
) -> str:
    """Return the text of a model card, with its metadata.

    Args:
        record: of the run.
        repo: ``OWNER/NAME`` on the Hub.
        licence: its identifier there, such as ``apache-2.0``; "unknown" when None.
        picture: name of a picture that lies beside the card.
    """
    parts = [
        _metadata(record, repo, licence),
        f"# {repo.partition('/')[2]}",
        _what(record),
        *([f"![What the model makes of images]({picture})"] if picture else []),
        _use(repo),
        *_scores(record),
        _training(record),
        *_failures(record),
        _limits(record, licence),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def plain(text: object) -> str:
    """Return a text as it is, in Markdown: no markup, no table cell, no line breaks.

    Example:
        >>> plain("sea | [lake]")
        'sea &#124; &#91;lake&#93;'
    """
    shown = html.escape(" ".join(str(text).split()))
    return "".join(f"&#{ord(mark)};" if mark in "|[]*`\\~!" else mark for mark in shown)


def _metadata(record: RunRecord, repo: str, licence: str | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    architecture, data = record.description.architecture, str(record.training.get("data", ""))
    name = repo.partition("/")[2]
    results = [
        EvalResult(
            task_type="image-segmentation",
            dataset_type=data_name(_data_of(evaluation)),
            dataset_name=data_name(_data_of(evaluation)),
            dataset_split=split,
            metric_type=metric,
            metric_name=words,
            metric_value=round(evaluation[metric], 4),
        )
        for split, evaluation in record.evaluations.items()
        for metric, words in METRICS.items()
        if isinstance(evaluation.get(metric), float)
    ]
    card = ModelCardData(
        license=licence or "unknown",
        library_name="lookwider",
        pipeline_tag="image-segmentation",
        tags=["semantic-segmentation", str(architecture["name"]), str(architecture["backbone"])],
        datasets=[data.removeprefix("hf:").partition(":")[0]] if data.startswith("hf:") else None,
        model_name=name,
        eval_results=results or None,
    )
    return f"---\n{card.to_yaml()}\n---"


def _what(record: RunRecord) -> str:
    description = record.description
    architecture, names = description.architecture, description.classes.names
    heads = "".join(
        f" A further head, {plain(head)}, has {len(classes)} classes."
        for head, classes in description.extra_classes.items()
    )
    return (
        f"Semantic segmentation: {plain(architecture['name'])} on "
        f"{plain(architecture['backbone'])}, made with lookwider "
        f"{plain(description.versions.get('lookwider', ''))}. It gives every pixel of an image "
        f"one of {len(names)} classes: {plain(', '.join(names))}.{heads}"
    )


def _use(repo: str) -> str:
    return f"""## Use

```bash
lookwider predict hf://{repo} photos --out predictions
```

```python
import lookwider as lw

model = lw.from_pretrained("{repo}")
prediction = model.predict("photo.jpg")
prediction.overlay().save("overlay.png")
```

Only `lookwider.json` and `model.safetensors` are read; nothing is executed."""


def _scores(record: RunRecord) -> Iterator[str]:
    for split, evaluation in record.evaluations.items():
        title = f"## Scores on {plain(data_name(_data_of(evaluation)))}, {plain(split)}"
        rows = [
            [words, _percent(evaluation.get(metric))]
            for metric, words in METRICS.items()
            if metric in evaluation
        ]
        protocol = evaluation.get("protocol", {})
        how = (
            f"{len(evaluation.get('images', []))} images, {plain(protocol.get('images', ''))}; "
            f"convention {plain(evaluation.get('convention'))}, "
            f"{evaluation.get('classes_present')} of {evaluation.get('num_classes')} classes in "
            "the truth."
        )
        classes = [
            [
                plain(name),
                _percent(each["iou"]),
                _percent(each["accuracy"]),
                _percent(each["share"]),
            ]
            for name, each in evaluation.get("classes", {}).items()
        ]
        table = _table(["class", "IoU", "accuracy", "share of pixels"], classes)
        confusion = f"confusion-{split}.png"
        drawn = f"\n\n![Which class is taken for which]({confusion})"
        yield (
            f"{title}\n\n{_table(['metric', 'per cent'], rows)}\n\n{how}\n\n{table}"
            f"{drawn if split in record.pictures else ''}"
        )


def _training(record: RunRecord) -> str:
    config, protocol = record.training, record.description.protocol
    if not config:
        return "## Training\n\nHow it was trained is not stored with the weights."
    images = protocol.get("training_images")
    data = f"{plain(data_name(config.get('data')))}, {plain(config.get('split'))}"
    rows = [["data", f"{data}, {images} images" if images else data]]
    rows += [
        [words, _value(config[name])]
        for name, words in SETTINGS.items()
        if config.get(name) is not None
    ]
    best = record.description.scores.get("step")
    told = f"\n\nThese are the weights of step {best}." if best else ""
    return f"## Training\n\n{_table(['setting', 'value'], rows)}{told}"


def _failures(record: RunRecord) -> Iterator[str]:
    for split in sorted({*record.evaluations, *record.diagnoses}):
        confusions = _confusions(record.evaluations.get(split, {}))
        kinds = [
            [plain(kind["title"]), str(kind["objects"]), _percent(kind["share_of_errors"])]
            for kind in record.diagnoses.get(split, {}).get("kinds", {}).values()
        ]
        tables = {
            ("class", "taken for", "% of its pixels", WRONG): confusions,
            ("kind of failure", "objects", WRONG): kinds,
        }
        shown = [_table(head, rows) for head, rows in tables.items() if rows]
        if shown:
            yield "\n\n".join([f"## Where it fails, {plain(split)}", *shown])


def _confusions(evaluation: Mapping[str, Any]) -> list[list[str]]:
    """Return the confusions of most pixels, as rows: of its class's pixels, of the wrong ones."""
    names, counts = list(evaluation.get("classes", {})), evaluation.get("confusion", [])
    found = [
        (pixels, name, other, pixels / sum(row))
        for name, row in zip(names, counts, strict=False)
        for other, pixels in zip(names, row, strict=False)
        if pixels and other != name
    ]
    wrong = sum(pixels for pixels, *_ in found)
    return [
        [plain(name), plain(other), _percent(share), _percent(pixels / wrong)]
        for pixels, name, other, share in sorted(found, reverse=True)[:MOST_CONFUSIONS]
    ]


def _limits(record: RunRecord, licence: str | None) -> str:
    lines = ["It knows only the classes above: anything else in an image is given one of them."]
    for split, evaluation in record.evaluations.items():
        missed = [
            name
            for name, each in evaluation.get("classes", {}).items()
            if each["iou"] is not None and each["iou"] < FOUND
        ]
        if missed:
            lines.append(f"On {plain(split)} it hardly finds {plain(', '.join(missed))}.")
    if not record.evaluations:
        lines.append("It was not measured on held-out images.")
    lines.append("Images unlike those of the training were not tried.")
    if licence is None:
        lines.append("The licence is unknown: ask the owner, and mind that of the training data.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _data_of(evaluation: Mapping[str, Any]) -> object:
    return evaluation.get("protocol", {}).get("data", "data")


def _value(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(plain, value))
    return plain(value)


def _percent(value: object) -> str:
    return f"{100 * value:.1f}" if isinstance(value, (int, float)) else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
