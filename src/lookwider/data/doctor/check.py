"""The data doctor: reads every file of a data set and says what is wrong and what it means."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from lookwider.classes import IGNORE_INDEX, Classes, ClassMap
from lookwider.data.class_files import format_class_file
from lookwider.data.decoder import LabelDecoder
from lookwider.data.doctor.pictures import choose, contact_sheet
from lookwider.data.doctor.report import ClassCount, DataReport, SizeSummary
from lookwider.data.doctor.scan import BadFile, PairScan, scan_pair
from lookwider.data.labels import format_value
from lookwider.data.layouts import LAYOUTS, find_layout, list_dataset
from lookwider.data.parallel import map_files
from lookwider.data.proposal import propose
from lookwider.data.readers.files import FileDataset
from lookwider.data.readers.pairs import Listing
from lookwider.errors import ConfigError, DataError, unknown_name
from lookwider.images import write_bytes, write_image

RARE = 0.001
"""A class with a smaller share of the pixels is called rare."""


def check_dataset(
    path: str | Path,
    *,
    layout: str = "auto",
    split: str | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    show: bool = True,
) -> DataReport:
    """Read all images and labels of a data set and report what was found.

    Args:
        path: a folder or list file in any of the known layouts.
        layout: the layout's name, or ``"auto"``.
        split: look at one split only; at all when None.
        out: where to write ``pictures.png``, ``classes.json`` and ``report.json``; nothing is
            written when None.
        workers: files to read at once; one a processor when None.
        show: whether to draw progress on a terminal.

    Raises:
        ConfigError: there is nothing at the path, or the layout or split is unknown. All that is
            wrong with the data itself is in the report instead.
    """
    start, path = time.perf_counter(), Path(path)
    if not path.exists():
        raise ConfigError(f"{path}: no such folder or file")
    report = DataReport(str(path))
    try:
        name = find_layout(path, layout)
        report = replace(report, layout=name)
        listings = _list(path, split, name)
    except DataError as error:
        report = replace(report, problems=(str(error),))
        return _finish(report, start, out)
    jobs = [(split, pair) for split, listing in listings.items() for pair in listing.pairs]
    scans = map_files(
        lambda job: scan_pair(*job), jobs, what="Reading the data", workers=workers, show=show
    )
    report = _describe(report, listings, scans)
    first = next(iter(listings.values()))
    try:
        classes, class_map, notes = _classes(first, scans)
    except DataError as error:
        report = replace(report, problems=(*report.problems, str(error)))
        return _finish(report, start, out)
    report = replace(report, notes=(*report.notes, *notes))
    report = _count(report, scans, classes, class_map)
    report = _check_values(report, scans, {"": (classes, class_map), **first.extra})
    return _finish(report, start, out, _picture(report, scans, classes, class_map, out))


def _list(path: Path, split: str | None, layout: str) -> dict[str, Listing]:
    there = LAYOUTS[layout].splits(path)
    if split is not None and split not in there:
        raise ConfigError(f"{path}: {unknown_name('split', split, there)}")
    wanted = there if split is None else (split,)
    return {name: list_dataset(path, name, layout) for name in wanted}


def _describe(
    report: DataReport, listings: Mapping[str, Listing], scans: Sequence[PairScan]
) -> DataReport:
    """Report what does not depend on the classes."""
    read = [scan for scan in scans if scan.size is not None]
    kinds = Counter(f"{scan.bands} bands, {scan.dtype}" for scan in read)
    bad = [found for scan in scans for found in scan.bad]
    if read:
        expected = read[0].bands
        bad += [
            BadFile(
                str(scan.pair.image),
                f"image has {scan.bands} bands, expected {expected} as the first image has",
            )
            for scan in read
            if scan.bands != expected
        ]
    loose_images = [p for listing in listings.values() for p in listing.unpaired_images]
    loose_labels = [p for listing in listings.values() for p in listing.unpaired_labels]
    problems = () if scans else ("no image has a label: there are no pairs",)
    return replace(
        report,
        splits={name: len(listing.pairs) for name, listing in listings.items()},
        unpaired_images=tuple(dict.fromkeys(map(str, loose_images))),
        unpaired_labels=tuple(dict.fromkeys(map(str, loose_labels))),
        sizes=_sizes([scan.size for scan in read if scan.size is not None]),
        images=dict(kinds),
        encodings=dict(Counter(scan.encoding for scan in scans if scan.encoding)),
        bad=tuple(bad),
        problems=problems,
        warnings=_leaks(scans),
        notes=tuple(dict.fromkeys(n for listing in listings.values() for n in listing.notes)),
    )


def _sizes(sizes: Sequence[tuple[int, int]]) -> SizeSummary | None:
    if not sizes:
        return None
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    middle = (round(median(h for h, _ in sizes)), round(median(w for _, w in sizes)))
    return SizeSummary(by_area[0], middle, by_area[-1], len(set(sizes)))


def _leaks(scans: Sequence[PairScan]) -> tuple[str, ...]:
    """Warn of images that are in two of train, val and test: scores would be too good."""
    where: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        if scan.digest and scan.split in {"train", "val", "test"}:
            where[scan.digest].add(scan.split)
    shared = Counter(tuple(sorted(splits)) for splits in where.values() if len(splits) > 1)
    return tuple(
        f"{count} images are the same in {' and '.join(splits)}: scores there will be too good"
        for splits, count in shared.items()
    )


def _classes(
    listing: Listing, scans: Sequence[PairScan]
) -> tuple[Classes, ClassMap, tuple[str, ...]]:
    if listing.classes is not None and listing.class_map is not None:
        return listing.classes, listing.class_map, ()
    found = propose(scan.label for scan in scans if scan.label is not None)
    note = "classes are found from the labels that were read: check them, name them"
    return found.classes, found.class_map, (note, *found.notes)


def _count(
    report: DataReport, scans: Sequence[PairScan], classes: Classes, class_map: ClassMap
) -> DataReport:
    """Report the histogram, and warn of classes that are absent or rare."""
    decoder = LabelDecoder(class_map, len(classes))
    pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    in_split: dict[str, set[int]] = {name: set() for name in report.splits}
    for scan in scans:
        if scan.label is None:
            continue
        for index, count in decoder.decode_counts(scan.label, "")[0].items():
            pixels[index] += count
            images[index] += 1
            in_split[scan.split].add(index)
    kept = int(pixels[: len(classes)].sum())
    counts = tuple(
        ClassCount(
            name,
            classes.palette[i],
            tuple(
                format_value(v, class_map.encoding)
                for v in sorted(class_map.ids)
                if class_map.ids[v] == i
            ),
            int(pixels[i]),
            float(pixels[i] / kept) if kept else 0.0,
            int(images[i]),
        )
        for i, name in enumerate(classes.names)
    )
    return replace(
        report,
        classes=counts,
        ignored=float(pixels[IGNORE_INDEX] / max(1, kept + pixels[IGNORE_INDEX])),
        warnings=(*report.warnings, *_class_warnings(counts, in_split)),
        problems=(*report.problems, *(() if kept or not scans else ("no pixel has a class",))),
        class_file=format_class_file(classes, class_map),
    )


def _class_warnings(
    counts: Sequence[ClassCount], in_split: Mapping[str, set[int]]
) -> tuple[str, ...]:
    warnings = []
    absent = [count.name for count in counts if not count.pixels]
    if absent:
        warnings.append(f"never present: {', '.join(absent)}")
    for split, present in in_split.items():
        missing = [c.name for i, c in enumerate(counts) if c.pixels and i not in present]
        if missing and len(in_split) > 1:
            warnings.append(f"not in {split}: {', '.join(missing)}")
    rare = [f"{c.name} ({c.share:.3%})" for c in counts if 0 < c.share < RARE]
    if rare:
        warnings.append(f"rare, consider class weights: {', '.join(rare)}")
    return tuple(warnings)


def _check_values(
    report: DataReport,
    scans: Sequence[PairScan],
    heads: Mapping[str, tuple[Classes, ClassMap]],
) -> DataReport:
    """Report labels with values that the class map does not know, as reading them would."""
    bad = list(report.bad)
    decoders = {head: LabelDecoder(cm, len(classes)) for head, (classes, cm) in heads.items()}
    for scan in scans:
        labels = {"": scan.label, **scan.extra}
        files = {"": scan.pair.label, **scan.pair.extra_labels}
        for head, values in labels.items():
            if values is None:
                continue
            _, error = decoders[head].decode_counts(values, f"label {files[head]}")
            if error is not None:
                bad.append(BadFile.of(files[head], error))
    return replace(report, bad=tuple(bad))


def _picture(
    report: DataReport,
    scans: Sequence[PairScan],
    classes: Classes,
    class_map: ClassMap,
    out: str | Path | None,
) -> str | None:
    bad = {found.path for found in report.bad}
    good = [s for s in scans if not {str(s.pair.image), str(s.pair.label)} & bad]
    if out is None or not good:
        return None
    decoder = LabelDecoder(class_map, len(classes))
    present = [
        set(decoder.decode_counts(scan.label, "")[0]) - {IGNORE_INDEX} if scan.label else set()
        for scan in good
    ]
    chosen = [good[i] for i in choose(present)]
    dataset = FileDataset(
        tuple(replace(scan.pair, extra_labels={}) for scan in chosen), classes, class_map
    )
    sheet = contact_sheet(
        [dataset[i] for i in range(len(dataset))],
        [scan.split for scan in chosen],
        classes,
        [count.share for count in report.classes],
        report.ignored,
    )
    target = Path(out) / "pictures.png"
    write_image(target, sheet)
    return str(target)


def _finish(
    report: DataReport, start: float, out: str | Path | None, picture: str | None = None
) -> DataReport:
    report = replace(report, picture=picture, seconds=time.perf_counter() - start)
    if out is not None:
        write_bytes(Path(out) / "report.json", report.to_json().encode())
        if report.class_file is not None:
            write_bytes(Path(out) / "classes.json", report.class_file.encode())
    return report
