"""What a segment of somebody else's viewer stands for: benign, malignant, nothing of ours, or unknown.

In this order, the first that says something counts:

1. what came with the segmentation itself, from the program that sent it;
2. what the site answered for good about a segment of this name;
3. the segment's label and its coded type: where both speak, they must agree;
4. its recommended colour, where it is one of ours.

What remains is unknown, and asked about. Nothing is guessed: a label is understood only where every word of
it is, and one that names a class beside other words (``not malignant``, ``benign?``) is a doubt, whatever the
code says.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from breastlabel.errors import UnknownNameError
from breastlabel.findings.dicom_codes import CLASSES
from breastlabel.findings.dicom_seg_parts import Segment
from breastlabel.imaging.dicom_values import Code
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["Meaning", "display_names", "meaning_of", "name_key", "read_meanings"]


class Meaning(StrEnum):
    """What a segment stands for."""

    BENIGN = "benign"
    MALIGNANT = "malignant"
    #: It says nothing about lesions: a pectoral muscle, a marker.
    IGNORE = "ignore"

    @property
    def lesion_class(self) -> LesionClass | None:
        """The class with which it is painted; None for what is left out."""
        return _CLASSES.get(self)


_CLASSES = {Meaning.BENIGN: LesionClass.BENIGN, Meaning.MALIGNANT: LesionClass.MALIGNANT}

#: Words, without accents, that mean one of the classes and nothing else.
_WORDS = {
    **dict.fromkeys(
        ("benign", "benigne", "benigno", "benigna", "benignant", "benin", "gutartig", "goedaardig"),
        Meaning.BENIGN,
    ),
    **dict.fromkeys(
        (
            "malignant",
            "malign",
            "maligne",
            "maligno",
            "maligna",
            "malin",
            "bosartig",
            "boesartig",
            "kwaadaardig",
        ),
        Meaning.MALIGNANT,
    ),
}
#: Words beside them that change nothing: what it is, which one, on which side.
_NEUTRAL = frozenset(
    """lesion lesions mass masses finding findings segment segmentation roi region area tumor tumour nodule
    calcification calcifications microcalcification microcalcifications breast left right l r cc mlo
    lasion lesao lesione befund masse tumeur""".split()  # noqa: SIM905
)
#: BI-RADS categories whose own wording says it (ACR, 5th edition): 2 is a benign finding, 5 highly suggestive
#: of malignancy, 6 proven by biopsy. 0, 1, 3 and 4 leave it open.
_BIRADS = {"2": Meaning.BENIGN, "5": Meaning.MALIGNANT, "6": Meaning.MALIGNANT}
_BIRADS_WORDS = re.compile(r"\b(?:acr\s*)?bi\W*rads\W*(?:category\W*|cat\W*)?(\d\w?)\b")

#: Coded concepts: those that we write (CID 6063), and neoplasms and diseases that are one by name.
_CODES = {
    **{Code(CLASSES[c].scheme, CLASSES[c].value): meaning for meaning, c in _CLASSES.items()},
    Code("SCT", "3898006"): Meaning.BENIGN,  # Neoplasm, benign
    Code("SCT", "20376005"): Meaning.BENIGN,  # Benign neoplastic disease
    Code("SRT", "M-80000"): Meaning.BENIGN,  # Neoplasm, benign
    Code("SCT", "86049000"): Meaning.MALIGNANT,  # Neoplasm, malignant (primary)
    Code("SCT", "367651003"): Meaning.MALIGNANT,  # Malignant neoplasm, primary, secondary or uncertain
    Code("SCT", "363346000"): Meaning.MALIGNANT,  # Malignant neoplastic disease
    Code("SCT", "254837009"): Meaning.MALIGNANT,  # Malignant neoplasm of breast
    Code("SRT", "M-80003"): Meaning.MALIGNANT,  # Neoplasm, malignant (primary)
    Code("DCM", "125040"): Meaning.IGNORE,  # Background
}

#: Our colours (`overlay.CLASS_COLORS`) in CIELAB, white point D50 as DICOM has it and D65 as viewers do.
_COLORS = {
    Meaning.BENIGN: ((77.5, -64.5, 49.8), (77.5, -69.1, 50.9)),
    Meaning.MALIGNANT: ((57.8, 72.5, 48.4), (56.9, 71.6, 46.5)),
}
#: Distance in CIELAB up to which a colour is ours. OHIF's first two colours are 9 and more away.
_COLOR_TOLERANCE = 4.0


def name_key(name: str) -> str:
    """A segment's name as it is compared: without regard to case, blanks and how accents are encoded."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())[:128]


def meaning_of(
    segment: Segment, name: str, *, told: Mapping[str, Meaning], remembered: Mapping[str, Meaning]
) -> Meaning | None:
    """What a segment stands for; None where it is unknown, or contradicts itself.

    Args:
        name: as `display_names` has it.
        told: what the sender said, by `name_key`.
        remembered: what the site answered for good, by `name_key`.
    """
    if segment.background:
        return Meaning.IGNORE
    for answers in (told, remembered):
        for key in (name_key(name), name_key(segment.label)):
            if key in answers:
                return answers[key]
    said = _of_label(segment.label) | {_CODES[code] for code in segment.codes if code in _CODES}
    if said:
        return said.pop() if len(said) == 1 else None
    return _of_colour(segment.colour)


def display_names(segments: Sequence[Segment]) -> dict[int, str]:
    """Segment's number -> a name that no other segment has: its label, where that is enough."""
    taken: dict[str, int] = {}
    for segment in segments:
        taken[name_key(segment.label)] = taken.get(name_key(segment.label), 0) + 1
    names = {}
    for segment in segments:
        alone = segment.label and taken[name_key(segment.label)] == 1
        names[segment.number] = (
            segment.label if alone else f"{segment.label} (number {segment.number})".strip()
        )
    return names


def read_meanings(values: Mapping[str, object]) -> dict[str, Meaning]:
    """``{name: "benign" | "malignant" | "ignore"}`` as a client sends it, by `name_key`.

    Raises:
        UnknownNameError: another meaning.
    """
    found = {}
    for name, value in values.items():
        if value not in list(Meaning):
            raise UnknownNameError("meaning of a segment", str(value)[:40], list(Meaning))
        found[name_key(str(name))] = Meaning(str(value))
    return found


def _of_label(label: str) -> set[Meaning]:
    """What a label says: nothing, one meaning, or both where it leaves a doubt."""
    plain = unicodedata.normalize("NFKD", label.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("\u0131", "i")
    categories = _BIRADS_WORDS.findall(plain)
    words = list(_words(_BIRADS_WORDS.sub(" ", plain)))
    said = {_WORDS[word] for word in words if word in _WORDS}
    said |= {_BIRADS[category] for category in categories if category in _BIRADS}
    understood = all(word in _WORDS or word in _NEUTRAL for word in words) and all(
        category in _BIRADS for category in categories
    )
    # A question mark is a reader's doubt, not a separator.
    if (said or categories) and not (understood and "?" not in label):
        return set(_CLASSES)
    return said


def _words(text: str) -> Iterable[str]:
    """The words of a text; digits and whatever is neither letter nor digit separate them."""
    return (word for word in re.split(r"[\W\d_]+", text) if word)


def _of_colour(colour: tuple[float, float, float] | None) -> Meaning | None:
    if colour is None:
        return None
    near = {m for m, ours in _COLORS.items() if any(math.dist(colour, c) <= _COLOR_TOLERANCE for c in ours)}
    return near.pop() if len(near) == 1 else None
