"""What the header of a mammogram says of the breast: side, view, and whether a model may judge it.

Every attribute that can name the side or the view is asked, and what it says must agree. The order below is
that of trust, and decides only where the statements are of the same meaning but not of the same detail;
where two of them exclude each other, the answer is "unknown" with a note, never a choice.

Side: Image Laterality (0020,0062); Frame Laterality (0020,9072); the codes of the Anatomic Region Sequence
(0008,2218) and its modifiers; the letter before the view in View Position ("RCC"); Laterality (0020,0060),
which is of the series. View: the View Code Sequence (0054,0220), PS3.16 CID 4014; View Position (0018,5101).
Free text (Series Description, Protocol Name) is not read: it names what was planned, often for another image.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from breastlabel.imaging.dicom_values import Code, code_of, codes, items, number, text, words
from breastlabel.imaging.mammogram_codes import (
    BOTH_BREASTS,
    DENSITIES,
    SIDES,
    SPECIMEN,
    VIEW_MODIFIERS,
    VIEWS,
)
from breastlabel.imaging.vocabulary import Density, Laterality, ViewPosition

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "CONTRADICTORY_SIDE",
    "CONTRADICTORY_VIEW",
    "MammogramHeader",
    "is_tomosynthesis",
    "read_mammogram",
]

CONTRADICTORY_SIDE = "contradictory laterality"
CONTRADICTORY_VIEW = "contradictory view"

_BREAST_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
# Contact views magnify by up to about 1.1, a magnification stand by 1.4 and more.
_MAGNIFIED = 1.3

# Image Type (0008,0008), values 3 to 5: PS3.3 C.8.11.7.1.4.
_TOMOSYNTHESIS = frozenset({"TOMOSYNTHESIS", "TOMO_PROJ"})
_SYNTHETIC = "GENERATED_2D"
_NOT_A_VIEW = {
    "TOMO_SCOUT": "tomosynthesis scout",
    "HIGH_ENERGY": "high-energy image of contrast mammography",
    "SUBTRACTION": "subtracted contrast image",
    "ADDITION": "sum of contrast images",
    # Not in the standard, but what vendors write for the subtracted image.
    "RECOMBINED": "subtracted contrast image",
}
_BIOPSY = re.compile(r"(STEREO|PREFIRE|POSTFIRE|POSTBIOPSY|POSTMARKER)(_(SCOUT|MINUS|PLUS))?")

# Abbreviations of the ACR's and the MQSA's labelling code, as devices write them into View Position.
_ABBREVIATIONS = {
    "S": "spot compression",
    "M": "magnification",
    "ID": "implant displaced",
    "CV": "cleavage",
    "AT": "axillary tail",
    "TAN": "tangential",
    "RL": "rolled lateral",
    "RM": "rolled medial",
    "RI": "rolled inferior",
    "RS": "rolled superior",
}
_VIEW = "|".join(sorted((view.value for view in ViewPosition), key=len, reverse=True))
_PLAIN = re.compile(rf"(?P<side>[RL])?(?P<before>)(?P<view>{_VIEW})(?P<after>)")
_SUFFIX = "ID|CV|AT|TAN|R[LMIS]|[SM]"
_MODIFIED = re.compile(rf"(?P<side>[RL])?(?P<before>[SM]{{0,2}})(?P<view>{_VIEW})?(?P<after>({_SUFFIX})*)")
# Those that are views by themselves where no other is named.
_ALONE = re.compile("CV|AT|TAN")

_SPOT = "spot compression"
_REFUSED_MODIFIERS = {
    _SPOT: "spot compression view",
    "magnification": "magnification view",
    "cleavage": "cleavage view (both breasts)",
}


class MammogramHeader(NamedTuple):
    """A mammogram's header in short.

    Attributes:
        laterality: None where it is not stated, or contradictory.
        view_position: None where it is not stated, contradictory, or not in `ViewPosition`.
        view_modifiers: PS3.16 CID 4015 in plain words, sorted.
        partial_view: the breast is larger than the detector, and this is a part of it.
        not_analysable: why no model may judge the image, in a few words; None where one may.
        density: where a coded one is stated, which is rare.
        implant: None where it is not stated.
        notes: what the header contradicts itself in.
    """

    laterality: Laterality | None = None
    view_position: ViewPosition | None = None
    view_modifiers: tuple[str, ...] = ()
    partial_view: bool = False
    not_analysable: str | None = None
    density: Density | None = None
    implant: bool | None = None
    notes: tuple[str, ...] = ()


def read_mammogram(header: Dataset) -> MammogramHeader:
    """Read a mammogram's header; what is missing or malformed counts as not stated."""
    position = _Position.parse(text(header, "ViewPosition"))
    sides = _sides(header, position)
    views = _views(header, position)
    modifiers = _modifiers(header, position)
    notes = []
    if len(sides) > 1:
        notes.append(CONTRADICTORY_SIDE)
    if len(views) > 1:
        notes.append(CONTRADICTORY_VIEW)
    return MammogramHeader(
        laterality=next(iter(sides)) if len(sides) == 1 else None,
        view_position=next(iter(views)) if len(views) == 1 else None,
        view_modifiers=tuple(sorted(modifiers)),
        partial_view=words(header, "PartialView")[:1] == ("YES",),
        not_analysable=_not_analysable(header, modifiers),
        density=_density(header),
        implant=_implant(header, modifiers),
        notes=tuple(notes),
    )


def is_tomosynthesis(header: Dataset) -> bool:
    """Whether this is a stack, a slice or a projection of tomosynthesis, not a 2D image made from one."""
    kind = words(header, "ImageType")
    if _SYNTHETIC in kind[2:] and (number(header, "NumberOfFrames") or 1) <= 1:
        return False
    return text(header, "SOPClassUID") == _BREAST_TOMOSYNTHESIS or not _TOMOSYNTHESIS.isdisjoint(kind[2:])


class _Position(NamedTuple):
    """View Position (0018,5101), taken apart: "LMLOID" is L, MLO, implant displaced."""

    side: Laterality | None = None
    view: ViewPosition | None = None
    modifiers: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, value: str | None) -> _Position:
        compact = re.sub(r"[\s_-]", "", (value or "").upper())
        if compact in set(ViewPosition):
            # LM and LMO begin with the letter of a side.
            return cls(view=ViewPosition(compact))
        match = _PLAIN.fullmatch(compact) or _MODIFIED.fullmatch(compact)
        if match is None or not (match["view"] or _ALONE.search(match["after"])):
            return cls()
        found = [*match["before"], *re.findall(_SUFFIX, match["after"])]
        return cls(
            side=Laterality(match["side"]) if match["side"] else None,
            view=ViewPosition(match["view"]) if match["view"] else None,
            modifiers=frozenset(_ABBREVIATIONS[letters] for letters in found),
        )


def _sides(header: Dataset, position: _Position) -> dict[Laterality, None]:
    """The sides that are stated, each once, the most trusted first."""
    stated: list[Laterality] = []
    for keyword in ("ImageLaterality", "FrameLaterality"):
        stated += [Laterality(word) for word in words(header, keyword) if word in set(Laterality)]
    for region in items(header, "AnatomicRegionSequence"):
        stated += [SIDES[code] for code in _region_codes(region) if code in SIDES]
    if position.side is not None:
        stated.append(position.side)
    stated += [Laterality(word) for word in words(header, "Laterality") if word in set(Laterality)]
    return dict.fromkeys(stated)


def _views(header: Dataset, position: _Position) -> dict[ViewPosition, None]:
    stated = [VIEWS[code] for code in codes(header, "ViewCodeSequence") if code in VIEWS]
    if position.view is not None:
        stated.append(position.view)
    return dict.fromkeys(stated)


def _modifiers(header: Dataset, position: _Position) -> set[str]:
    found = set(position.modifiers)
    for view in items(header, "ViewCodeSequence"):
        coded = codes(view, "ViewModifierCodeSequence")
        found |= {VIEW_MODIFIERS[code] for code in coded if code in VIEW_MODIFIERS}
    if (number(header, "EstimatedRadiographicMagnificationFactor") or 1) >= _MAGNIFIED:
        found.add("magnification")
    paddle = (text(header, "PaddleDescription") or "").upper()
    if re.search(r"\bSPOT\b", paddle):
        found.add(_SPOT)
    if re.search(r"\bMAG(NIFICATION)?\b", paddle):
        found.add("magnification")
    return found


def _not_analysable(header: Dataset, modifiers: set[str]) -> str | None:
    if is_tomosynthesis(header):
        return "tomosynthesis"
    if (number(header, "NumberOfFrames") or 1) > 1:
        return "several frames"
    if _is_specimen(header):
        return "specimen"
    for word in words(header, "ImageType")[2:]:
        if _BIOPSY.fullmatch(word):
            return "biopsy or localisation view"
        if word in _NOT_A_VIEW:
            return _NOT_A_VIEW[word]
    if items(header, "BiopsyTargetSequence"):
        return "biopsy or localisation view"
    for modifier, reason in _REFUSED_MODIFIERS.items():
        if modifier in modifiers:
            return reason
    return "both breasts in one image" if _shows_both(header) else None


def _is_specimen(header: Dataset) -> bool:
    position = (text(header, "ViewPosition") or "").upper()
    part = f"{text(header, 'BodyPartExamined') or ''} {' '.join(words(header, 'ImageType')[2:])}".upper()
    return (
        "SPECIMEN" in position
        or "SPECIMEN" in part
        or any(code in SPECIMEN for code in codes(header, "ViewCodeSequence"))
        or bool(items(header, "SpecimenDescriptionSequence"))
        or text(header, "SpecimenIdentifier") is not None
    )


def _shows_both(header: Dataset) -> bool:
    if "B" in (*words(header, "ImageLaterality"), *words(header, "FrameLaterality")):
        return True
    regions = items(header, "AnatomicRegionSequence")
    return any(code in BOTH_BREASTS for region in regions for code in _region_codes(region))


def _region_codes(region: Dataset) -> list[Code]:
    stated = code_of(region)
    return [*([stated] if stated else []), *codes(region, "AnatomicRegionModifierSequence")]


def _implant(header: Dataset, modifiers: set[str]) -> bool | None:
    """Breast Implant Present (0028,1300); an implant that is displaced is one."""
    stated = {"YES": True, "NO": False}.get((text(header, "BreastImplantPresent") or "").upper())
    return True if stated is None and "implant displaced" in modifiers else stated


def _density(header: Dataset) -> Density | None:
    """A composition among the acquisition's context (0040,0555); None where two are named."""
    found = {
        DENSITIES[code]
        for item in items(header, "AcquisitionContextSequence")
        for code in codes(item, "ConceptCodeSequence")
        if code in DENSITIES
    }
    return found.pop() if len(found) == 1 else None
