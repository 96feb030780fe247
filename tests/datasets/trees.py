"""Tiny synthetic trees in the layouts of the public datasets; their pixels are drawn at random."""

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SHAPE = (40, 48)


def scene(seed: int, shape=SHAPE):
    """Smooth random pixels, so that different seeds differ as different patients do."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8))
    return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))


def disc(centre, radius=5, shape=SHAPE):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 <= radius**2


def save(path: Path, pixels, mode=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels)
    image.convert(mode or image.mode).save(path)
    return path


def write_dicom(path: Path, pixels, *, patient: str, modality: str = "US", **header) -> Path:
    """A grey 8-bit still; all of one study."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2", generate_uid()
    still = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    still.is_little_endian, still.is_implicit_VR = True, False
    still.PatientID, still.Modality, still.StudyInstanceUID = patient, modality, "1.2.3"
    still.Rows, still.Columns = pixels.shape
    still.BitsAllocated, still.BitsStored, still.HighBit, still.PixelRepresentation = 8, 8, 7, 0
    still.SamplesPerPixel, still.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword, value in header.items():
        setattr(still, keyword, value)
    still.PixelData = pixels.tobytes()
    still["PixelData"].VR = "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    still.save_as(path, write_like_original=False)
    return path


def busi(root: Path, *, n: int = 6) -> Path:
    """n images a class; lesions at (12, 12); ``benign (1)`` has two outlines."""
    folder = root / "Dataset_BUSI_with_GT"
    modes = ("1", "L", "RGB", "RGBA")
    for c, label in enumerate(("benign", "malignant", "normal")):
        for k in range(1, n + 1):
            save(folder / label / f"{label} ({k}).png", scene(100 * c + k), "RGB" if k == 2 else None)
            outline = disc((12, 12)) if label != "normal" else np.zeros(SHAPE, bool)
            save(folder / label / f"{label} ({k})_mask.png", outline, modes[k % 4])
    save(folder / "benign" / "benign (1)_mask_1.png", disc((28, 36)))
    return root


def bus_bra(root: Path, *, patients: int = 6) -> Path:
    """Two views a patient; every third patient malignant."""
    lines = ["ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side,BBOX"]
    folds = ["ID,Pathology,kFold,valid_1"]
    for p in range(1, patients + 1):
        label = "malignant" if p % 3 == 0 else "benign"
        for side in ("left", "right"):
            name = f"{p:04d}-{side[0]}"
            save(root / "Images" / f"bus_{name}.png", scene(1000 + 2 * p + (side == "left")))
            save(root / "Masks" / f"mask_{name}.png", disc((20, 20)), "1")
            lines.append(f'bus_{name},{p},fibroadenoma,{label},4,GE Logiq 7,48,40,{side},"[15,15,11,11]"')
            folds.append(f"bus_{name},{label},{p % 5 + 1},1.0")
    (root / "bus_data.csv").write_text("\n".join(lines))
    (root / "5-fold-cv.csv").write_text("\n".join(folds))
    return root


def bus_uclm(root: Path) -> Path:
    """Normal, benign, malignant, one of both; one mask of another size; Doppler and a dual panel."""
    rows = [
        ("ALWI_000", "Normal", "No;No;No"),
        ("ALWI_001", "Benign", "Yes;No;No"),
        ("BEPA_000", "Malignant", "No;Yes;No"),
        ("BEPA_001", "Malignant", "No;No;Yes"),
        ("CHVI_000", "Benign", "No;No;No"),
    ]
    for k, (name, label, _) in enumerate(rows):
        save(root / "images" / f"{name}.png", scene(2000 + k))
        colours = np.zeros((*SHAPE, 3), np.uint8)
        if label == "Benign":
            colours[disc((12, 12)), 1] = 255
        if label == "Malignant":
            colours[disc((12, 12)), 0] = 255
        if name == "BEPA_001":
            colours[disc((28, 36), 3), 1] = 255
        save(root / "masks" / f"{name}.png", colours[:-2] if name == "CHVI_000" else colours)
    table = ["Image;Resolution;Label;Doppler;Marks;Combined"]
    table += [f"{name}.png;48x40;{label};{flags}" for name, label, flags in rows]
    (root / "INFO.csv").write_text("\n".join(table), encoding="utf-8-sig")
    return root


def write_spreadsheet(path: Path, sheets) -> Path:
    """A minimal .xlsx: sheet name -> rows of values, all stored as inline text."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    numbered = list(enumerate(sheets, start=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        names = "".join(f'<sheet name="{name}" sheetId="{k}" r:id="rId{k}"/>' for k, name in numbered)
        archive.writestr(
            "xl/workbook.xml", f'<workbook {main} xmlns:r="{office}"><sheets>{names}</sheets></workbook>'
        )
        links = "".join(f'<Relationship Id="rId{k}" Target="worksheets/s{k}.xml"/>' for k, _ in numbered)
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{links}</Relationships>")
        for k, name in numbered:
            rows = "".join(
                "<row>"
                + "".join(
                    f'<c r="{chr(65 + c)}{r}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'
                    for c, value in enumerate(row)
                )
                + "</row>"
                for r, row in enumerate(sheets[name], start=1)
            )
            archive.writestr(
                f"xl/worksheets/s{k}.xml", f"<worksheet {main}><sheetData>{rows}</sheetData></worksheet>"
            )
    return path
