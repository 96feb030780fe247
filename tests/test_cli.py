"""The command line: what it writes, what it says, and the code it ends with."""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from breastlabel import __version__, doctor, imaging
from breastlabel.cli import main
from breastlabel.commands import predict as predict_command
from breastlabel.imaging import image_stem, read_image, read_mask

COMMANDS = [
    "serve",
    "import",
    "phantom",
    "train",
    "predict",
    "report",
    "evaluate",
    "ablate",
    "simulate",
    "score",
    "models",
    "labels",
    "doctor",
]


@pytest.fixture(autouse=True)
def _site_in_studies(monkeypatch):
    monkeypatch.delenv("BREASTLABEL_HOME", raising=False)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("with a space") / "studies"
    assert main(["phantom", "--studies", str(folder), "--exams", "9", "--seed", "3"]) == 0
    return folder


@pytest.fixture(scope="module")
def checkpoint(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "checkpoint"
    options = ["--preset", "tiny", "--epochs", "1", "--device", "cpu", "--output", str(folder)]
    assert main(["train", "ultrasound", "--studies", str(studies), *options]) == 0
    return folder


def error_line(capsys):
    """What stderr holds, which must be one line."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("breastlabel: ")
    return lines[0]


def test_help_names_the_commands_and_loads_nothing_heavy():
    program = (
        "import sys\n"
        "from breastlabel.cli import main\n"
        "code = main(['--help'])\n"
        "heavy = {'numpy', 'torch', 'cv2', 'scipy', 'sqlalchemy', 'monailabel'} & set(sys.modules)\n"
        "sys.exit(code or ' '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "models promote", "models export"])
def test_each_command_has_help_with_an_example(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: breastlabel" in shown
    assert "Example" in shown or command in ("models", "labels")


def test_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["trian"], "trian"),
        (["train"], "MODEL"),
        (["train", "ultrasound", "--output", "x"], "--studies"),
        (["phantom", "--studies", "x", "--exams", "0"], "exams"),
        (["predict", "ultrasound", "x.png", "--output", "y", "--device", "tpu"], "cpu, cuda"),
        (["predict", "sonography", "x.png", "--output", "y"], "ultrasound"),
        (["import", "imagenet", "x", "--studies", "y"], "busi, cbis-ddsm, cdd-cesm, cmmd, folder"),
        (["evaluate", "ultrasound", "--studies", "x", "--split", "half", "--output", "y"], "val"),
    ],
)
def test_wrong_arguments_are_one_line_and_code_2(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert named in error_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "ultrasound", "--studies", "absent", "--output", "out"],
        ["evaluate", "ultrasound", "--studies", "absent", "--output", "out"],
        ["predict", "ultrasound", "x.png", "--checkpoint", "absent", "--output", "out"],
        ["models", "list", "--studies", "absent"],
        ["import", "busi", "absent", "--studies", "out"],
        ["serve", "--studies", "absent"],
    ],
)
def test_what_is_not_there_is_one_line_and_code_1(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert "absent" in error_line(capsys)


def test_phantom_json_counts_its_images(tmp_path, capsys):
    code = main(["phantom", "--studies", str(tmp_path / "s"), "--exams", "3", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert answer["n_images"] == len(answer["images"]) == sum(answer["by_class"].values())
    assert all((tmp_path / "s" / f"{name}.nrrd").is_file() for name in answer["images"])


def test_import_folder_says_what_it_read(studies, tmp_path, capsys):
    code = main(["import", "folder", str(studies), "--studies", str(tmp_path / "s"), "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert code == 0
    assert summary["n_read"] == sum(summary["by_class"].values()) == len(list(studies.glob("*.nrrd")))


def test_predict_writes_a_folder_an_image_in_the_images_own_geometry(studies, checkpoint, tmp_path, capsys):
    image = sorted(studies.glob("*.nrrd"))[0]
    out = tmp_path / "out"
    arguments = ["predict", "ultrasound", str(image), "--checkpoint", str(checkpoint), "--output", str(out)]
    assert main([*arguments, "--json", "--explain", "--uncertainty", "2"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    folder = out / image_stem(image)
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["heatmap.png", "mask.nrrd", "overlay.png", "result.json"]
    assert json.loads((folder / "result.json").read_text()) == result
    assert read_mask(folder / "mask.nrrd").shape == read_image(image).shape
    assert sum(result["class_probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert "Not a medical device" in result["notice"]
    # Predicting again replaces the answer: no heat map this time.
    assert main(arguments) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["mask.nrrd", "overlay.png", "result.json"]


def test_a_bad_image_is_named_and_the_others_go_on(studies, checkpoint, tmp_path, capsys):
    good = sorted(studies.glob("*.nrrd"))[0]
    bad = tmp_path / "damaged.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    out = tmp_path / "out"
    code = main(["predict", "ultrasound", str(bad), str(good), *_to(checkpoint, out)])
    assert code == 1
    lines = capsys.readouterr().err.splitlines()
    assert "damaged.png" in lines[0]
    assert "1 of 2" in lines[1]
    assert [p.name for p in out.iterdir()] == [image_stem(good)]


def test_a_file_that_may_not_be_read_is_named_and_the_others_go_on(
    studies, checkpoint, tmp_path, capsys, monkeypatch
):
    first, second = sorted(studies.glob("*.nrrd"))[:2]
    read = imaging.read_image

    def denied(file, **options):
        if file == first:
            raise PermissionError(13, "Permission denied", str(file))
        return read(file, **options)

    monkeypatch.setattr(imaging, "read_image", denied)
    out = tmp_path / "out"
    assert main(["predict", "ultrasound", str(first), str(second), *_to(checkpoint, out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert f"{first.name} is not: Permission denied" in lines[0]
    assert "1 of 2" in lines[1]
    assert [p.name for p in out.iterdir()] == [image_stem(second)]


def test_images_of_one_name_are_refused_before_any_work(studies, checkpoint, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["predict", "ultrasound", "a/x.png", "b/x.nrrd", *_to(checkpoint, out)]) == 2
    assert "differ in their names" in error_line(capsys)
    assert not out.exists()


def test_a_foreign_folder_is_not_replaced(studies, checkpoint, tmp_path, capsys):
    image = sorted(studies.glob("*.nrrd"))[0]
    foreign = tmp_path / image_stem(image)
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    assert main(["predict", "ultrasound", str(image), *_to(checkpoint, tmp_path)]) == 1
    assert "choose another --output" in error_line(capsys)
    assert [p.name for p in tmp_path.iterdir()] == [foreign.name]
    assert (foreign / "thesis.txt").read_text() == "mine"


def test_an_interrupted_prediction_ends_with_130_and_leaves_nothing_half_written(
    studies, checkpoint, tmp_path, capsys, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_command, "_replace_folder", interrupted)
    image = sorted(studies.glob("*.nrrd"))[0]
    assert main(["predict", "ultrasound", str(image), *_to(checkpoint, tmp_path / "out")]) == 130
    assert error_line(capsys) == "breastlabel: interrupted"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_one_line(studies, checkpoint, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "out/x")

    monkeypatch.setattr(predict_command, "_replace_folder", full)
    image = sorted(studies.glob("*.nrrd"))[0]
    assert main(["predict", "ultrasound", str(image), *_to(checkpoint, tmp_path / "out")]) == 1
    assert "it is full 'out/x'" in error_line(capsys)


def test_evaluate_writes_the_metrics_that_it_prints(studies, checkpoint, tmp_path, capsys):
    arguments = ["evaluate", "ultrasound", "--studies", str(studies), "--split", "all", "--no-explain"]
    code = main([*arguments, "--checkpoint", str(checkpoint), "--output", str(tmp_path), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert printed == json.loads((tmp_path / "metrics.json").read_text())
    assert (tmp_path / "report.html").is_file()
    assert printed["n_patients"] == 9


def test_models_go_through_list_promote_show_export_rollback(studies, checkpoint, tmp_path, capsys):
    site = ["--studies", str(studies)]
    assert main(["models", "promote", "ultrasound", str(checkpoint), *site, "--force"]) == 0
    version = json.loads((checkpoint / "model.json").read_text())["version"]
    capsys.readouterr()
    assert main(["models", "list", *site, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    own = [e["version"] for e in entries if e["champion"] and e["model"] == "ultrasound"]
    assert own == [version]
    assert main(["models", "show", "ultrasound", *site, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == version
    copy = tmp_path / "copy"
    assert main(["models", "export", "ultrasound", "--output", str(copy), *site]) == 0
    assert (copy / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
    capsys.readouterr()
    assert main(["models", "export", "ultrasound", "--output", str(copy), *site]) == 1
    assert "must not exist" in error_line(capsys)
    assert main(["models", "promote", "ultrasound", "20000101-000000-00000000", *site]) == 1
    assert version in error_line(capsys)


def test_bare_models_list_answers_without_studies(capsys):
    assert main(["models", "list", "--json"]) == 0
    assert all(entry["shipped"] for entry in json.loads(capsys.readouterr().out))


def test_serve_runs_the_stock_server_on_this_machine_alone(tmp_path, monkeypatch):
    started = {}
    monkeypatch.setattr(os, "execve", lambda *a: started.update(program=a[0], command=a[1], env=a[2]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert main(["serve", "--studies", str(tmp_path), "--port", str(port), "--models", "ultrasound"]) == 0
    command = started["command"]
    assert command[:4] == [sys.executable, "-m", "monailabel.main", "start_server"]
    options = dict(zip(command[4::2], command[5::2], strict=False))
    assert options["--host"] == "127.0.0.1"
    assert options["--studies"] == str(tmp_path)
    assert command[-3:] == ["--conf", "models", "ultrasound"]
    assert (Path(options["--app"]) / "main.py").is_file()
    # Programs beside this Python (dcmqi's) are found also where the environment was not activated.
    assert started["env"]["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_serve_takes_the_address_of_a_pacs_as_it_stands(monkeypatch, capsys):
    started = {}
    monkeypatch.setattr(os, "execve", lambda *a: started.update(command=a[1]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = "https://pacs.example.org/dicom-web"
    assert main(["serve", "--studies", url, "--port", str(port)]) == 0
    assert started["command"][started["command"].index("--studies") + 1] == url
    assert main(["serve", "--studies", f"http://localhost:{port}/dicom-web", "--port", str(port)]) == 1
    assert "got that of this server itself" in error_line(capsys)
    assert main(["serve", "--studies", "https://alice:kept-secret@pacs/x", "--port", str(port)]) == 1
    assert "kept-secret" not in error_line(capsys)


def test_serve_refuses_a_port_that_is_taken(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--studies", str(tmp_path), "--port", str(port)]) == 1
    assert "choose another with --port" in error_line(capsys)


def test_doctor_reports_every_part(capsys, monkeypatch):
    # The server's own tests import it for real; here it would only cost its many seconds.
    imported = subprocess.CompletedProcess([], 0, stdout="0.8.5\n", stderr="")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *a, **k: imported)
    code = main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in answer["checks"]}
    assert {"python", "packages", "torch", "monailabel", "dcmqi", "shipped champions", "disk"} <= set(checks)
    assert checks["python"]["ok"]
    assert checks["packages"]["ok"]
    assert answer["ok"] == (code == 0) == all(c["ok"] is not False for c in answer["checks"])
    assert all(check["remedy"] for check in answer["checks"] if check["ok"] is False)


def test_doctor_says_what_breaks_the_servers_import(monkeypatch):
    broken = subprocess.CompletedProcess(
        [], 1, stdout="", stderr="Traceback\nImportError: no _storage_sopclass"
    )
    monkeypatch.setattr(doctor.subprocess, "run", lambda *a, **k: broken)
    (check,) = [check for check in doctor.examine() if check.name == "monailabel"]
    assert check.ok is False
    assert check.found == "ImportError: no _storage_sopclass"
    assert "requirements.lock" in check.remedy


def test_phantom_masks_are_label_maps(studies):
    values = {int(v) for f in (studies / "labels" / "final").iterdir() for v in np.unique(read_mask(f))}
    assert values == {0, 1, 2}


def _to(checkpoint, output):
    return ["--checkpoint", str(checkpoint), "--output", str(output)]


def test_doctor_looks_for_the_packages_that_the_project_names():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for extra, names in doctor._PACKAGES.items():
        required = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
        named = {re.split(r"[<>=!\[]", name)[0].lower() for name in required}
        assert {name.lower() for name in names} <= named
        assert extra is not None or len(names) == len(named)


def test_a_mammogram_is_refused_by_the_ultrasound_model(checkpoint, tmp_path, capsys):
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    mammogram = "1.2.840.10008.5.1.4.1.1.1.2"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = mammogram, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dicom.is_little_endian, dicom.is_implicit_VR = True, False
    dicom.SOPClassUID, dicom.SOPInstanceUID = mammogram, meta.MediaStorageSOPInstanceUID
    dicom.Modality, dicom.SamplesPerPixel, dicom.PhotometricInterpretation = "MG", 1, "MONOCHROME2"
    dicom.Rows, dicom.Columns = 40, 50
    dicom.BitsAllocated, dicom.BitsStored, dicom.HighBit, dicom.PixelRepresentation = 8, 8, 7, 0
    dicom.PixelData = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8).tobytes()
    dicom.save_as(tmp_path / "view.dcm", write_like_original=False)
    out = tmp_path / "out"
    assert main(["predict", "ultrasound", str(tmp_path / "view.dcm"), *_to(checkpoint, out)]) == 1
    assert "modality US is required" in error_line(capsys)
    assert list(out.iterdir()) == []


def test_ablate_hands_its_options_on(studies, tmp_path, monkeypatch):
    asked = {}

    def ablate(folder, output, **options):
        asked.update(options)
        return {"rows": []}

    monkeypatch.setattr("breastlabel.evaluation.ablation.ablate_ultrasound", ablate)
    options = ["--seeds", "2", "--epochs", "3", "--size", "64", "--minutes", "2"]
    command = ["ablate", "ultrasound", "--studies", str(studies), "--output", str(tmp_path / "o"), *options]
    assert main(command) == 0
    assert list(asked["seeds"]) == [0, 1]
    assert (asked["epochs"], asked["size"], asked["time_limit"], asked["preset"]) == (3, 64, 120, "paper")


def test_a_mammography_ablation_takes_several_studies(studies, tmp_path, monkeypatch, capsys):
    asked = {}

    def ablate(model, folders, output, **options):
        asked.update(options, model=model, folders=folders)
        value = {"mean": 0.5, "ci95": [0.25, 0.75]}
        return {"measures": [{"name": "f1"}], "rows": [{"name": "Whole", "values": {"f1": value}}]}

    monkeypatch.setattr("breastlabel.evaluation.ablations.ablate", ablate)
    twice = ["--studies", str(studies), "--studies", str(tmp_path)]
    assert main(["ablate", "fusionview", *twice, "--output", str(tmp_path / "o")]) == 0
    assert (asked["model"], asked["folders"]) == ("fusionview", [studies, tmp_path])
    assert "0.500 (0.250 to 0.750)" in capsys.readouterr().out
    assert main(["ablate", "ultrasound", *twice, "--output", str(tmp_path / "o")]) == 1
    assert "one studies folder is required" in error_line(capsys)
    assert main(["ablate", "nothing", *twice, "--output", str(tmp_path / "o")]) == 2


def test_only_cad_reports_a_case(tmp_path, capsys):
    assert main(["report", "ultrasound", "view.dcm", "--output", str(tmp_path)]) == 2
    assert "cad" in error_line(capsys)
    assert main(["report", "cad", "view.dcm", "--age", "-3", "--output", str(tmp_path)]) == 1
    assert "an age in years" in error_line(capsys)
