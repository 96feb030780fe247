"""Reports as TID 1500: what is said of each breast and lesion, of which image, and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from tests.datasets.test_mammogram_dicom import missing
from tests.findings.dicom_images import MG, US, US_CINE, answer, errors_of, image, read_back, region

from breastlabel.findings.dicom_identity import is_ours
from breastlabel.findings.dicom_seg import Algorithm, segmentation_dataset
from breastlabel.findings.dicom_sr import ReportedImage, report_dataset
from breastlabel.findings.result import NOTICE
from breastlabel.imaging import Modality
from breastlabel.imaging.dicom_spacing import pixel_spacing
from breastlabel.imaging.ultrasound_regions import ultrasound_regions

highdicom = pytest.importorskip("highdicom")

AI = Algorithm(name="mammography", version="12", parameters=(("superpixels", "yes"),))
SHAPE = (40, 30)
SPREAD = {"class_entropy": 0.31, "mutual_information": 0.02, "mask_disagreement": 0.125, "passes": 10}


def lesion(value: int = 2, *, more: bool = False) -> np.ndarray:
    """A region of 6 x 10 pixels, and where asked a second one of its class and one of the other."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:10, 3:13] = value
    if more:
        mask[20:23, 5:9] = value
        mask[30:35, 20:28] = 3 - value
    return mask


def reported(
    mask: np.ndarray,
    *,
    spacing: tuple[float, float] | None = (0.5, 0.25),
    segmented: bool = True,
    number: int = 1,
    kind: str = MG,
    frame: int | None = None,
    tags: dict[str, Any] | None = None,
    outlined: bool = True,
    **said: Any,
) -> ReportedImage:
    source = image(mask.shape, kind=kind, number=number, **(tags or {}))
    modality = Modality.MG if kind == MG else Modality.US
    result = answer(mask, spacing=spacing, modality=modality, **said)
    segmentation = None
    if segmented:
        segmentation = segmentation_dataset(mask, source, algorithm=AI, series_description="x", frame=frame)
    return ReportedImage(
        result, source, mask=mask if outlined else None, segmentation=segmentation, frame=frame
    )


def content(report: Dataset) -> Any:
    return highdicom.sr.ComprehensiveSR.from_dataset(report).content


def lesions(report: Dataset) -> list[Any]:
    return list(content(report).get_planar_roi_measurement_groups())


def figures(group: Any) -> dict[str, tuple[float, str]]:
    return {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}


def words(group: Any) -> dict[str, str]:
    return {q.name.meaning: q.value.meaning for q in group.get_qualitative_evaluations()}


# A breast


def test_the_views_of_a_breast_are_judged_as_one(tmp_path: Path) -> None:
    images = [
        reported(lesion(), number=1, view="CC", breast=True, uncertainty=SPREAD),
        reported(lesion(), number=2, view="MLO", breast=True, uncertainty=SPREAD),
        reported(lesion(1), number=3, laterality="L", breast=True),
    ]
    report = read_back(report_dataset(images, algorithm=AI), tmp_path)
    right, left = content(report).get_image_measurement_groups()
    assert (right.tracking_identifier, left.tracking_identifier) == ("R CC + R MLO", "L CC")
    assert figures(right)["Probability of cancer"] == (70.0, "%")
    assert figures(right)["Probability of a benign lesion"] == (20.0, "%")
    assert figures(right)["Probability of no lesion"] == (10.0, "%")
    assert figures(right)["Probability of invasive cancer if malignant"] == (80.0, "%")
    assert figures(right)["Entropy of the class probabilities, nats"] == (0.31, "1")
    assert figures(right)["Mean pairwise 1 - Dice of the passes' outlines"] == (0.125, "1")
    assert figures(right)["Number of stochastic passes"] == (10, "1")
    assert not any("nats" in name for name in figures(left))
    assert words(right) == {"Class": "Malignant", "Above the operating point": "Yes"}
    assert [site.value.value for site in right.finding_sites] == ["76752008"]
    assert [site.laterality.value for site in right.finding_sites + left.finding_sites] == [
        "24028007",
        "7771000",
    ]
    uids = [i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in right.source_images]
    assert uids == ["1.2.3.1", "1.2.3.2"]


def test_images_that_were_judged_alone_are_groups_alone() -> None:
    images = [reported(lesion(), number=n, view=v) for n, v in ((1, "CC"), (2, "MLO"))]
    groups = content(report_dataset(images, algorithm=AI)).get_image_measurement_groups()
    assert [g.tracking_identifier for g in groups] == ["R CC", "R MLO"]


def test_a_normal_breast_has_no_lesion_group() -> None:
    normal = reported(np.zeros(SHAPE, np.uint8))
    normal.result["predicted_class"] = "normal"  # type: ignore[index]
    report = report_dataset([normal], algorithm=AI)
    assert lesions(report) == []
    (group,) = content(report).get_image_measurement_groups()
    assert words(group)["Class"] == "Normal"


# A lesion


def test_a_lesion_has_its_size_its_scores_and_its_segment(tmp_path: Path) -> None:
    shown = reported(lesion(), uncertainty=SPREAD)
    report = read_back(report_dataset([shown], algorithm=AI), tmp_path)
    (group,) = lesions(report)
    # 6 rows of 0.5 mm by 10 columns of 0.25 mm.
    assert figures(group)["Area"] == (7.5, "mm2")
    assert figures(group)["Long axis"][0] == pytest.approx(np.hypot(3.0, 2.5), abs=0.005)
    assert figures(group)["Short axis"] == (2.5, "mm")
    assert figures(group)["Certainty of Finding"] == (80.0, "%")
    name = "Probability of malignancy if this is a lesion"
    assert figures(group)[name][0] == pytest.approx(100 * 0.7 / 0.9, abs=0.01)
    assert words(group) == {"Finding category": "Morphologically Abnormal Structure", "Class": "Malignant"}
    assert group.finding_type.value == "52988006"
    assert group.tracking_identifier == "R CC lesion 1"
    segment, source = group.referenced_segmentation_frame
    (referred,) = segment.ReferencedSOPSequence
    assert referred.ReferencedSOPInstanceUID == shown.segmentation.SOPInstanceUID
    assert referred.ReferencedFrameNumber == 1
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.1"


def test_a_benign_lesion_tells_the_probability_of_malignancy_too() -> None:
    (group,) = lesions(report_dataset([reported(lesion(1))], algorithm=AI))
    name = "Probability of malignancy if this is a lesion"
    assert figures(group)[name][0] == pytest.approx(100 * 0.7 / 0.9, abs=0.01)
    assert words(group)["Class"] == "Benign"


def test_nothing_is_said_in_mm_where_the_spacing_is_not_known(tmp_path: Path) -> None:
    report = read_back(report_dataset([reported(lesion(), spacing=None)], algorithm=AI), tmp_path)
    (group,) = lesions(report)
    assert not {"Area", "Long axis", "Short axis"} & set(figures(group))
    assert not {"mm", "mm2"} & {unit for _, unit in figures(group).values()}


def test_lesions_that_share_a_segment_are_outlined_one_by_one() -> None:
    shown = reported(lesion(more=True))
    largest, other, small = lesions(report_dataset([shown], algorithm=AI))
    assert largest.referenced_segmentation_frame is None
    assert other.referenced_segmentation_frame[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 1
    assert words(other)["Class"] == "Benign"
    for group, (top, left, bottom, right) in ((largest, (4, 3, 10, 13)), (small, (20, 5, 23, 9))):
        outline = group.roi.value
        assert group.roi.graphic_type.value == "POLYLINE"
        assert (outline[0] == outline[-1]).all()
        # Halfway between the centres of the lesion's pixels and of those around it: the pixels' edges.
        assert outline.min(axis=0) == pytest.approx([left, top])
        assert outline.max(axis=0) == pytest.approx([right, bottom])


def test_without_a_mask_a_lesion_is_boxed() -> None:
    (group,) = lesions(report_dataset([reported(lesion(), segmented=False, outlined=False)], algorithm=AI))
    corners = {(float(column), float(row)) for column, row in group.roi.value}
    assert corners == {(3.0, 4.0), (13.0, 4.0), (13.0, 10.0), (3.0, 10.0)}


def test_a_lesion_that_reaches_into_the_box_of_another_is_not_outlined_with_it() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:25, 5], mask[24, 5:25] = 2, 2  # an L
    mask[8:12, 10:14] = 2  # in its corner
    big, small = lesions(report_dataset([reported(mask, segmented=False)], algorithm=AI))
    inside = big.roi.value[(big.roi.value[:, 0] > 8) & (big.roi.value[:, 1] < 20)]
    assert len(inside) == 0
    assert small.roi.value.min(axis=0) == pytest.approx([10, 8])


def test_a_change_is_told_with_its_figures() -> None:
    shown = reported(lesion(more=True))
    compared = {
        "comparison": "compared",
        "reason": None,
        "prior": 0,
        "months": 24,
        "long_axis_mm": 1.5,
        "long_axis_percent": 12.5,
        "area_mm2": -0.5,
        "area_percent": -4.0,
    }
    plain = dict.fromkeys(compared)
    findings = shown.result["findings"]
    findings[0]["change"] = compared
    findings[1]["change"] = {**plain, "comparison": "new", "months": 24}
    findings[2]["change"] = {**plain, "comparison": "not comparable", "reason": "no older image"}
    grown, new, unknown = lesions(report_dataset([shown], algorithm=AI))
    name = "Comparison with an older image"
    assert [words(g)[name] for g in (grown, new, unknown)] == ["Compared", "New finding", "Not comparable"]
    assert figures(grown)["Change of the long axis"] == (1.5, "mm")
    assert figures(grown)["Relative change of the long axis"] == (12.5, "%")
    assert figures(grown)["Change of the area"] == (-0.5, "mm2")
    assert figures(grown)["Months since the older image"] == (24, "mo")
    assert not any(name.startswith("Change") for name in (*figures(new), *figures(unknown)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    at=st.tuples(st.integers(0, 20), st.integers(0, 15)),
    spacing=st.tuples(*[st.floats(0.03, 1.0).map(lambda v: round(v, 3))] * 2),
    keyword=st.sampled_from(["PixelSpacing", "ImagerPixelSpacing", "SequenceOfUltrasoundRegions"]),
    side=st.sampled_from(["R", "L", None]),
    value=st.integers(1, 2),
)
def test_sizes_and_places_come_back_whatever_the_spacing(rows, columns, at, spacing, keyword, side, value):
    mask = np.zeros(SHAPE, np.uint8)
    mask[at[0] : at[0] + rows, at[1] : at[1] + columns] = value
    kind = US if keyword == "SequenceOfUltrasoundRegions" else MG
    stated = (
        region(SHAPE, rows_mm=spacing[0], columns_mm=spacing[1])
        if kind == US
        else [str(spacing[0]), str(spacing[1])]
    )
    tags = {keyword: stated, **({"ImageLaterality": side} if side else {})}
    source = image(SHAPE, kind=kind, **tags)
    read = ultrasound_regions(source).spacing if kind == US else pixel_spacing(source)
    shown = reported(mask, spacing=read, kind=kind, tags=tags, laterality=side, segmented=False)
    report = report_dataset([shown], algorithm=AI)
    (group,) = lesions(report)
    height, width = rows * spacing[0], columns * spacing[1]
    assert figures(group)["Area"][0] == pytest.approx(height * width, abs=0.006)
    assert figures(group)["Long axis"][0] == pytest.approx(np.hypot(height, width), abs=0.006)
    assert figures(group)["Short axis"][0] == pytest.approx(min(height, width), abs=0.006)
    assert group.roi.value.min(axis=0) == pytest.approx([at[1], at[0]])
    assert group.roi.value.max(axis=0) == pytest.approx([at[1] + columns, at[0] + rows])
    sides = [site.laterality.meaning for site in group.finding_sites if site.laterality is not None]
    assert sides == ([] if side is None else [{"R": "Right", "L": "Left"}[side]])
    assert words(group)["Class"] == ("Benign", "Malignant")[value - 1]


# The whole


def test_it_says_that_it_is_research_and_no_verdict(tmp_path: Path) -> None:
    report = read_back(report_dataset([reported(lesion())], algorithm=AI), tmp_path)
    last = report.ContentSequence[-1]
    assert last.TextValue == NOTICE
    assert NOTICE.startswith("Research use only. Not a medical device.")
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert report.ContentQualification == "RESEARCH"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    # What an item of the content must have depends on its type, which the table does not say.
    absent = [m for m in missing(report, report.SOPClassUID) if not m.startswith("sr-document-content/")]
    assert absent == []


def test_it_names_the_algorithm_and_the_procedure(tmp_path: Path) -> None:
    report = read_back(report_dataset([reported(lesion())], algorithm=AI), tmp_path)
    (device,) = content(report).get_observer_contexts()
    attributes = device.observer_identifying_attributes
    assert (attributes.name, attributes.manufacturer_name) == ("breastlabel mammography 12", "breastlabel")
    (group,) = lesions(report)
    said = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.get("TextValue")
        for item in group[0].ContentSequence
    }
    assert said["Algorithm Name"] == "mammography"
    assert said["Algorithm Version"] == "12"
    assert said["Algorithm Parameters"] == "superpixels=yes"
    reported_codes = {
        item.ConceptCodeSequence[0].CodeValue
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Procedure reported"
    }
    assert reported_codes == {"71651007"}
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99BREASTLABEL"


def test_everything_that_it_refers_to_is_named_as_evidence() -> None:
    images = [reported(lesion(), number=1, breast=True), reported(lesion(), number=2, breast=True)]
    prior = image(SHAPE, number=9, StudyInstanceUID="1.2.3.200")
    report = report_dataset(images, algorithm=AI, others=[prior])
    current = evidence(report.CurrentRequestedProcedureEvidenceSequence)
    segmentations = {i.segmentation.SOPInstanceUID for i in images}
    assert current == {"1.2.3.100": {"1.2.3.1", "1.2.3.2", *segmentations}}
    assert evidence(report.PertinentOtherEvidenceSequence) == {"1.2.3.200": {"1.2.3.9"}}


def evidence(items: Any) -> dict[str, set[str]]:
    return {
        study.StudyInstanceUID: {
            sop.ReferencedSOPInstanceUID
            for series in study.ReferencedSeriesSequence
            for sop in series.ReferencedSOPSequence
        }
        for study in items
    }


def test_the_same_answer_is_the_same_report() -> None:
    def uids(**options: Any) -> tuple[str, str]:
        said = {"uncertainty": options.pop("uncertainty", None)}
        report = report_dataset([reported(lesion(), **said)], **{"algorithm": AI, **options})
        assert is_ours(report)
        return report.SOPInstanceUID, report.SeriesInstanceUID

    first = uids()
    assert first == uids(created=datetime(2024, 1, 1, tzinfo=UTC))
    other = uids(uncertainty=SPREAD)
    assert other[0] != first[0]
    assert other[1] == first[1]
    newer = uids(algorithm=Algorithm(name="mammography", version="13"))
    assert newer[0] != first[0]
    assert newer[1] != first[1]


def test_patient_and_study_are_those_of_the_image(tmp_path: Path) -> None:
    shown = reported(lesion(), tags={"PatientName": "Müller^Änne", "PatientID": None})
    report = read_back(report_dataset([shown], algorithm=AI), tmp_path)
    assert str(report.PatientName) == "Müller^Änne"
    assert report.PatientID == ""
    assert report.StudyInstanceUID == "1.2.3.100"
    assert report.StudyDate == "20240305"


def test_images_of_several_studies_or_none_are_refused() -> None:
    two = [reported(lesion()), reported(lesion(), number=2, tags={"StudyInstanceUID": "1.2.3.200"})]
    with pytest.raises(ValueError, match="2 studies"):
        report_dataset(two, algorithm=AI)
    with pytest.raises(ValueError, match="got 0"):
        report_dataset([], algorithm=AI)


# The standard's checker


def test_a_mammography_report_passes_the_checker(tmp_path: Path) -> None:
    images = [
        reported(lesion(more=True), number=1, breast=True, uncertainty=SPREAD),
        reported(lesion(), number=2, view="MLO", breast=True, uncertainty=SPREAD),
        reported(np.zeros(SHAPE, np.uint8), number=3, laterality="L", breast=True),
    ]
    report = report_dataset(images, algorithm=AI, others=[image(SHAPE, number=9)])
    assert errors_of(report, tmp_path) == []


@pytest.mark.parametrize(("kind", "frame"), [(US, None), (US_CINE, 2)])
def test_an_ultrasound_report_passes_the_checker(kind: str, frame: int | None, tmp_path: Path) -> None:
    tags = {"SequenceOfUltrasoundRegions": region(SHAPE, rows_mm=0.5, columns_mm=0.25)}
    if frame is not None:
        tags["NumberOfFrames"] = 3
    shown = reported(lesion(more=True), kind=kind, frame=frame, tags=tags, laterality=None, view=None)
    report = report_dataset([shown], algorithm=AI)
    assert errors_of(report, tmp_path) == []
    first = lesions(read_back(report, tmp_path))[0]
    assert words(first)["Orientation"] == "Not parallel"  # 3 mm tall, 2.5 mm wide
    assert first.tracking_identifier == "US lesion 1"
    referred = first.roi.ContentSequence[0].ReferencedSOPSequence[0]
    assert referred.get("ReferencedFrameNumber") == frame
