"""``breastlabel labels``: what was read, by whom, and how it left the models' proposals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from breastlabel.commands.console import note, print_json, print_table, progress
from breastlabel.commands.options import Json, NewOutput, Studies, help_of, require_studies, system_user
from breastlabel.errors import BreastLabelError, NotFoundError

if TYPE_CHECKING:
    from breastlabel.catalog import Catalog, LabelVersion

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Label versions: list them, go back to one, take them out, compare readers.",
)


class Format(StrEnum):
    """Kinds of label map files."""

    NIFTI = "nii.gz"
    NRRD = "nrrd"
    PNG = "png"
    SEG = "seg"


class Consensus(StrEnum):
    """How several readings are made into one."""

    STAPLE = "staple"
    MAJORITY = "majority"


Image = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="The image's id: its file's name, no suffix.", show_default=False),
]
Version = Annotated[
    int,
    typer.Argument(metavar="VERSION", min=1, help="As 'labels history' numbers them.", show_default=False),
]
Author = Annotated[
    str | None,
    typer.Option(
        "--author",
        metavar="NAME",
        help="Who does this, for the audit; else the system's user.",
        show_default=False,
    ),
]


def history(image: Image, studies: Studies, as_json: Json = False) -> None:
    """List all label versions of an image, oldest first. A star marks the one that counts.

    Example: breastlabel labels history scan-17 --studies ~/studies
    """
    with _catalog(studies, image) as catalog:
        versions = catalog.labels.history(image)
        current = catalog.labels.current(image)
    if as_json:
        print_json([{**_plain(v), "current": v == current} for v in versions])
    elif not versions:
        print(f"'{image}' has no label yet")
    else:
        header = ("VERSION", "STATE", "TAG", "CLASS", "BY", "SAVED (UTC)", "SECONDS", "MODEL", "DICE")
        print_table(header, [_row(v, "*" if v == current else "") for v in versions])


def restore(
    image: Image, version: Version, studies: Studies, author: Author = None, as_json: Json = False
) -> None:
    """Make an earlier version the image's final label again, as a new version; nothing is lost.

    Example: breastlabel labels restore scan-17 2 --studies ~/studies
    """
    with _catalog(studies, image) as catalog:
        restored = catalog.labels.restore(image, version, author=author or system_user())
    if as_json:
        print_json(_plain(restored))
    else:
        print(f"'{image}': version {restored.version} is final, with the content of version {version}")


def accept(
    image: Image, version: Version, studies: Studies, author: Author = None, as_json: Json = False
) -> None:
    """Accept a version, such as a draft or one that was rejected by mistake.

    Example: breastlabel labels accept scan-17 3 --studies ~/studies
    """
    _set_state(image, version, "final", studies, author, as_json)


def reject(
    image: Image, version: Version, studies: Studies, author: Author = None, as_json: Json = False
) -> None:
    """Reject a version. The newest accepted one before it counts again; the file stays.

    Example: breastlabel labels reject scan-17 3 --studies ~/studies
    """
    _set_state(image, version, "rejected", studies, author, as_json)


def export(
    studies: Studies,
    output: NewOutput,
    tag: Annotated[
        str, typer.Option("--tag", metavar="TAG", help="final, draft, original (proposals) or another.")
    ] = "final",
    split: Annotated[bool, typer.Option("--split", help="A folder for each of train, val and test.")] = False,
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Earlier and rejected versions as well.")
    ] = False,
    file_format: Annotated[
        Format | None,
        typer.Option("--format", help="Kind of file (seg: DICOM); else as stored.", show_default=False),
    ] = None,
    consensus: Annotated[
        Consensus | None,
        typer.Option("--consensus", help="One map of an image that several read.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy label maps out, with index.json and index.csv: who made each one, when, and from what.

    Example: breastlabel labels export --studies ~/studies --output labels --format nrrd

    Example: breastlabel labels export --studies ~/studies --output agreed --consensus staple
    """
    if consensus is not None and (all_versions or tag != "final"):
        raise typer.BadParameter(
            "--consensus takes the readers' newest final labels; leave out --tag and --all-versions"
        )
    from breastlabel.datasets.exporting import export_labels

    with _catalog(studies) as catalog, progress(quiet=as_json) as report:
        summary = export_labels(
            catalog,
            output,
            tag=tag,
            by_split=split,
            every_version=all_versions,
            file_format=None if file_format is None else file_format.value,
            consensus=None if consensus is None else consensus.value,
            progress=lambda done, total: report("exporting", done, total),
        )
    of_several = sum(label.consensus is not None for label in summary.labels)
    if as_json:
        counts = {
            "n_labels": len(summary.labels),
            "n_consensus": of_several,
            "n_skipped": len(summary.skipped),
        }
        print_json({"output": str(output), **counts})
    else:
        agreed = f", {of_several} of them a consensus" if consensus is not None else ""
        print(f"{len(summary.labels)} label maps in {output}{agreed}")
    for label in summary.skipped:
        note(f"{label.image_id}: {label.reason}")
    if summary.skipped:
        raise BreastLabelError(
            f"all labels were to be exported; {len(summary.skipped)} of "
            f"{len(summary.skipped) + len(summary.labels)} were skipped; restore their files from a backup"
        )


def agreement(studies: Studies, as_json: Json = False) -> None:
    """Compare readers on the images that several of them read: Dice of the outlines, kappa of the classes.

    Example: breastlabel labels agreement --studies ~/studies
    """
    from dataclasses import asdict

    from breastlabel.catalog.readings import readings_by_reader
    from breastlabel.evaluation.readers import ImageAgreement, pool_agreement, reader_agreement
    from breastlabel.imaging import read_mask

    images: list[ImageAgreement] = []
    with _catalog(studies) as catalog, progress(quiet=as_json) as report:
        several = list(readings_by_reader(catalog.database))
        for done, (image_id, readings) in enumerate(several, start=1):
            try:
                masks = {r: read_mask(catalog.labels.path(v)) for r, v in readings.items()}
                images.append(reader_agreement(masks))
            except BreastLabelError as error:
                note(f"{image_id} is left out: {error}")
            report("comparing", done, len(several))
    found = pool_agreement(images)
    if as_json:
        print_json(asdict(found))
    elif not images:
        print("no image was read by several readers yet")
    else:
        rows = [
            (p.first, p.second, str(p.n_images), _number(p.mean_dice), _number(p.kappa)) for p in found.pairs
        ]
        print_table(("READER", "READER", "IMAGES", "DICE", "KAPPA"), rows)
        print(
            f"\n{found.n_images} images: mean Dice {_number(found.mean_dice)}, mean kappa "
            f"{_number(found.mean_kappa)}, Krippendorff's alpha {_number(found.alpha)}"
        )


def summary(studies: Studies, as_json: Json = False) -> None:
    """How many labels there are, and how much readers had to change of each model version's proposals.

    Example: breastlabel labels summary --studies ~/studies
    """
    from dataclasses import asdict

    from breastlabel.catalog.corrections import correction_summary

    with _catalog(studies) as catalog:
        counts = catalog.counts()
        models = correction_summary(catalog.database)
    if as_json:
        print_json({**asdict(counts), "corrections": [asdict(m) for m in models]})
        return
    tags = ", ".join(f"{n} {tag}" for tag, n in counts.labelled.items()) or "none"
    print(f"{counts.total} images, {counts.waiting} waiting to be read; labels: {tags}")
    if models:
        print()
        header = ("MODEL", "VERSION", "READINGS", "MEDIAN DICE", "UNCHANGED", "OTHER CLASS", "MEDIAN SECONDS")
        print_table(header, [_correction_row(m) for m in models])
    else:
        print("no reading was compared with a model's proposal yet; the server does that as labels are saved")


_COMMANDS: dict[str, Callable[..., None]] = {
    "history": history,
    "restore": restore,
    "accept": accept,
    "reject": reject,
    "export": export,
    "agreement": agreement,
    "summary": summary,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, help=help_of(_command))(_command)


@contextmanager
def _catalog(studies: Path, image: str | None = None) -> Iterator[Catalog]:
    """The catalog of a folder that is there, which knows the image where one is named."""
    from breastlabel.catalog import Catalog

    with Catalog.open(require_studies(studies)) as catalog:
        if image is not None and not catalog.has_image(image):
            raise NotFoundError(
                f"an image of the studies is required; got '{image}'; an id is the file's name without suffix"
            )
        yield catalog


def _set_state(
    image: str, version: int, state: str, studies: Path, author: str | None, as_json: bool
) -> None:
    with _catalog(studies, image) as catalog:
        changed = catalog.labels.set_state(image, version, state, author=author or system_user())
        current = catalog.labels.current(image)
    if as_json:
        print_json({**_plain(changed), "current_version": None if current is None else current.version})
        return
    counts = (
        "it has no final label now" if current is None else f"version {current.version} is its final label"
    )
    print(f"'{image}': version {version} is {changed.state}; {counts}")


def _plain(version: LabelVersion) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(version), "created_at": version.created_at.isoformat(timespec="seconds")}


def _row(version: LabelVersion, mark: str) -> tuple[str, ...]:
    measures = version.agreement or {}
    return (
        f"{version.version}{mark}",
        version.state,
        version.tag,
        version.label or "",
        version.author or version.client_id or "",
        f"{version.created_at:%Y-%m-%d %H:%M:%S}",
        "" if version.seconds_spent is None else f"{version.seconds_spent:.0f}",
        version.model_version or version.model or "",
        _number(measures.get("dice")) if measures else "",
    )


def _correction_row(found: Any) -> tuple[str, ...]:
    return (
        found.model or "",
        found.model_version or "",
        str(found.n),
        _number(found.median_dice),
        f"{found.accepted_unchanged:.0%}",
        f"{found.class_changed:.0%}",
        "" if found.median_seconds is None else f"{found.median_seconds:.0f}",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
