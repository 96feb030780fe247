"""``breastlabel labels``: what it prints, what it writes, and how it refuses."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest

from breastlabel.catalog import Catalog
from breastlabel.cli import main
from breastlabel.imaging import Geometry, read_image, read_mask, write_image
from breastlabel.imaging.volumes import nifti_bytes, nrrd_bytes

GEOMETRY = Geometry((0.3, 0.2, 1.0), (5.0, 6.0, 0.0))


def disc(radius, value=1):
    rows, cols = np.mgrid[:24, :20]
    return ((np.hypot(rows - 12, cols - 10) <= radius) * value).astype(np.uint8)


def stored(mask):
    return nifti_bytes(mask, GEOMETRY, compress=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Images a, b, c. a: a proposal and readings of two readers; b: one reading; c: none."""
    folder = tmp_path_factory.mktemp("original")
    rng = np.random.default_rng(1)
    for name in "abc":
        write_image(folder / f"{name}.nrrd", rng.random((24, 20), np.float32), geometry=GEOMETRY)
    with Catalog.open(folder) as catalog:
        labels = catalog.labels
        labels.save("a", stored(disc(6)), tag="original", model="ultrasound", model_version="20260101-aa")
        first = labels.save("a", stored(disc(5)), author="ann", label="benign", seconds_spent=31.0)
        labels.set_agreement(first.label_id, {"dice": 0.83, "unchanged": False, "class_changed": False})
        labels.save("a", stored(disc(6, 2)), author="bob", label="malignant")
        labels.save("b", stored(disc(4)), author="ann", label="benign")
    return folder


@pytest.fixture
def studies(original, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(original, tmp_path / "studies")


@pytest.fixture
def run(studies, capsys):
    """Runs a subcommand on the studies -> (code, stdout, stderr)."""

    def labels(*arguments):
        code = main(["labels", *arguments, "--studies", str(studies)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return labels


def index_of(output):
    return json.loads((output / "index.json").read_text())


# History, restore, accept, reject


def test_history_tells_each_version_and_marks_the_one_that_counts(run):
    code, out, _ = run("history", "a")
    assert code == 0
    header, proposal, ann, bob = (line.split() for line in out.splitlines())
    assert header[0] == "VERSION"
    assert proposal[:3] == ["1", "final", "original"]
    assert ann[:5] == ["2", "final", "final", "benign", "ann"]
    assert ann[-3:] == ["31", "20260101-aa", "0.830"]
    assert bob[:5] == ["3*", "final", "final", "malignant", "bob"]


def test_history_as_json_holds_all_that_is_known(run):
    code, out, _ = run("history", "a", "--json")
    versions = json.loads(out)
    assert code == 0
    assert [v["version"] for v in versions] == [1, 2, 3]
    assert [v["current"] for v in versions] == [False, False, True]
    assert versions[1]["agreement"]["dice"] == 0.83
    assert versions[1]["proposal_id"] == versions[0]["label_id"]
    assert versions[1]["created_at"].endswith("+00:00")


def test_an_image_without_a_label_has_an_empty_history(run):
    assert run("history", "c")[:2] == (0, "'c' has no label yet\n")
    assert json.loads(run("history", "c", "--json")[1]) == []


def test_restore_makes_a_new_version_with_the_old_content(run, studies):
    code, out, _ = run("restore", "a", "2", "--author", "ann")
    assert (code, out) == (0, "'a': version 4 is final, with the content of version 2\n")
    assert np.array_equal(read_mask(studies / "labels" / "final" / "a.nii.gz"), disc(5))
    newest = json.loads(run("history", "a", "--json")[1])[-1]
    assert (newest["version"], newest["author"], newest["label"]) == (4, "ann", "benign")


def test_a_rejected_version_gives_way_and_comes_back_when_accepted(run, studies):
    shown = studies / "labels" / "final" / "a.nii.gz"
    code, out, _ = run("reject", "a", "3")
    assert (code, out) == (0, "'a': version 3 is rejected; version 2 is its final label\n")
    assert np.array_equal(read_mask(shown), disc(5))
    code, out, _ = run("accept", "a", "3", "--json")
    assert code == 0
    assert json.loads(out)["current_version"] == 3
    assert np.array_equal(read_mask(shown), disc(6, 2))
    code, out, _ = run("reject", "b", "1")
    assert (code, out) == (0, "'b': version 1 is rejected; it has no final label now\n")


def test_who_changes_a_state_is_in_the_audit(run, studies):
    run("reject", "a", "3", "--author", "head of department")
    with Catalog.open(studies) as catalog:
        newest = catalog.audit.entries("a")[0]
    assert (newest.action, newest.author) == ("label.state", "head of department")


# Export


def test_export_copies_the_final_labels_and_tells_where_they_come_from(run, tmp_path):
    output = tmp_path / "new" / "labels"
    code, out, _ = run("export", "--output", str(output))
    assert (code, out) == (0, f"2 label maps in {output}\n")
    index = index_of(output)
    assert index["label_names"] == {"benign": 1, "malignant": 2}
    a, b = index["labels"]
    assert (a["file"], a["version"], a["author"], a["label"]) == ("masks/a.nii.gz", 3, "bob", "malignant")
    assert (b["version"], b["author"]) == (1, "ann")
    assert np.array_equal(read_mask(output / a["file"]), disc(6, 2))
    assert all(hashlib.sha256((output / e["file"]).read_bytes()).hexdigest() == e["sha256"] for e in (a, b))
    assert {"index.json", "index.csv", "masks"} == {p.name for p in output.iterdir()}


def test_index_csv_has_the_figures_in_columns(run, tmp_path):
    run("export", "--output", str(tmp_path / "out"), "--all-versions")
    with (tmp_path / "out" / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["image_id"], r["version"], r["dice"]) for r in rows] == [
        ("a", "2", "0.83"),
        ("a", "3", ""),
        ("b", "1", ""),
    ]
    assert rows[0]["file"] == "masks/a/2-final.nii.gz"


@pytest.mark.parametrize("kind", ["nrrd", "png", "nii.gz"])
def test_every_format_holds_the_same_pixels_over_the_same_image(run, studies, tmp_path, kind):
    assert run("export", "--output", str(tmp_path / "out"), "--format", kind)[0] == 0
    file = tmp_path / "out" / "masks" / f"a.{kind}"
    assert np.array_equal(read_mask(file), disc(6, 2))
    if kind != "png":
        # A label map is read as an image here to see its geometry.
        assert read_image(file).geometry == read_image(studies / "a.nrrd").geometry


def test_proposals_can_be_exported_as_well(run, tmp_path):
    assert run("export", "--output", str(tmp_path / "out"), "--tag", "original")[0] == 0
    (entry,) = index_of(tmp_path / "out")["labels"]
    assert (entry["tag"], entry["model_version"]) == ("original", "20260101-aa")


def test_split_makes_a_folder_for_each(run, studies, tmp_path):
    with Catalog.open(studies) as catalog:
        catalog.update_images({"a": {"split": "val"}, "b": {"split": None}})
    assert run("export", "--output", str(tmp_path / "out"), "--split")[0] == 0
    assert [e["file"] for e in index_of(tmp_path / "out")["labels"]] == [
        "masks/val/a.nii.gz",
        "masks/none/b.nii.gz",
    ]


@pytest.mark.parametrize("method", ["staple", "majority"])
def test_a_consensus_is_made_of_images_that_several_read(run, tmp_path, method):
    code, out, _ = run("export", "--output", str(tmp_path / "out"), "--consensus", method)
    assert code == 0
    assert "2 label maps" in out
    assert "1 of them a consensus" in out
    a, b = index_of(tmp_path / "out")["labels"]
    assert (a["consensus"], a["readers"], a["version"]) == (method, {"ann": 2, "bob": 3}, None)
    # Half of the readers call it malignant: the graver class counts.
    assert a["label"] == "malignant"
    assert (a["performance"] is None) == (method == "majority")
    assert (b["consensus"], b["version"]) == (None, 1)


def test_an_earlier_export_is_replaced_whole(run, tmp_path):
    output = tmp_path / "out"
    assert run("export", "--output", str(output), "--all-versions")[0] == 0
    assert run("export", "--output", str(output))[0] == 0
    assert sorted(p.name for p in (output / "masks").iterdir()) == ["a.nii.gz", "b.nii.gz"]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith((".", "out."))] == []


def test_a_consensus_is_made_of_labels_as_they_were_saved(run, studies, tmp_path):
    with Catalog.open(studies) as catalog:
        catalog.labels.path(catalog.labels.get("a", 2)).write_bytes(stored(disc(1)))
    code, _, err = run("export", "--output", str(tmp_path / "out"), "--consensus", "majority")
    assert code == 1
    assert err.splitlines()[0] == "breastlabel: a: the file of version 2 is not as it was saved"


def test_a_damaged_label_is_skipped_and_named(run, studies, tmp_path):
    with Catalog.open(studies) as catalog:
        catalog.labels.path(catalog.labels.get("a", 3)).write_bytes(b"changed by hand")
    code, _, err = run("export", "--output", str(tmp_path / "out"))
    assert code == 1
    first, second = err.splitlines()
    assert first == "breastlabel: a: the file of version 3 is not as it was saved"
    assert "1 of 2 were skipped" in second
    index = index_of(tmp_path / "out")
    assert [e["image_id"] for e in index["labels"]] == ["b"]
    assert [(s["image_id"], s["version"]) for s in index["skipped"]] == [("a", 3)]


def test_a_full_disk_leaves_no_half_export(run, tmp_path, monkeypatch):
    from breastlabel.datasets import exporting

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "sync_files", full)
    code, _, err = run("export", "--output", str(tmp_path / "out"))
    assert (code, len(err.splitlines())) == (1, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["studies"]


# Agreement and summary


def test_agreement_compares_the_readers_of_one_image(run):
    code, out, _ = run("agreement", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["n_images"], found["readers"]) == (1, ["ann", "bob"])
    small, large = np.count_nonzero(disc(5)), np.count_nonzero(disc(6))
    assert found["mean_dice"] == pytest.approx(2 * small / (small + large))
    code, out, _ = run("agreement")
    assert out.splitlines()[1].split()[:3] == ["ann", "bob", "1"]


def test_agreement_without_several_readers_says_so(run):
    run("reject", "a", "2")
    assert run("agreement")[:2] == (0, "no image was read by several readers yet\n")
    assert json.loads(run("agreement", "--json")[1])["mean_dice"] is None


def test_summary_counts_labels_and_what_was_changed_of_each_model_version(run):
    code, out, _ = run("summary")
    assert code == 0
    first, _, _, model = out.splitlines()
    assert first.startswith("3 images, 1 waiting")
    assert model.split() == ["ultrasound", "20260101-aa", "1", "0.830", "0%", "0%", "31"]
    found = json.loads(run("summary", "--json")[1])
    assert found["labelled"] == {"final": 2, "original": 1}
    assert found["corrections"][0]["median_dice"] == 0.83


def test_summary_of_a_folder_without_corrections(tmp_path, capsys):
    write_image(tmp_path / "x.nrrd", np.arange(6, dtype=np.uint8).reshape(2, 3), geometry=GEOMETRY)
    assert main(["labels", "summary", "--studies", str(tmp_path)]) == 0
    assert "no reading was compared" in capsys.readouterr().out


# What is refused


IMAGE_COMMANDS = ["history a", "restore a 1", "accept a 1", "reject a 1"]


@pytest.mark.parametrize(
    "command", ["history", "restore", "accept", "reject", "export", "agreement", "summary"]
)
def test_each_subcommand_has_help_with_an_example(command, capsys):
    assert main(["labels", command, "--help"]) == 0
    assert f"breastlabel labels {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [*IMAGE_COMMANDS, "export --output out", "agreement", "summary"])
def test_studies_that_are_not_there_are_code_1(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["labels", *command.split(), "--studies", "absent"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "absent" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*IMAGE_COMMANDS, "export --output out", "agreement", "summary"])
def test_missing_studies_and_unknown_options_are_code_2(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["labels", *command.split()]) == 2
    assert "--studies" in capsys.readouterr().err
    assert main(["labels", *command.split(), "--studies", ".", "--colour", "red"]) == 2
    assert "--colour" in capsys.readouterr().err


@pytest.mark.parametrize("command", IMAGE_COMMANDS)
def test_an_unknown_image_is_code_1(run, command):
    name, _, *version = command.split()
    code, _, err = run(name, "stranger", *version)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "'stranger'" in err


@pytest.mark.parametrize("command", ["restore", "accept", "reject"])
@pytest.mark.parametrize(
    ("version", "code", "named"), [("9", 1, "no label version 9"), ("0", 2, "VERSION"), ("x", 2, "VERSION")]
)
def test_an_unknown_version_is_refused(run, command, version, code, named):
    got, _, err = run(command, "a", version)
    assert got == code
    assert len(err.splitlines()) == 1
    assert named in err
    assert len(json.loads(run("history", "a", "--json")[1])) == 3


def test_restoring_a_version_whose_file_is_gone_is_refused(run, studies):
    with Catalog.open(studies) as catalog:
        catalog.labels.path(catalog.labels.get("a", 2)).unlink()
    code, _, err = run("restore", "a", "2")
    assert code == 1
    assert "restore another version" in err


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--format", "bmp"], 2, "bmp"),
        (["--consensus", "mean"], 2, "mean"),
        (["--consensus", "staple", "--all-versions"], 2, "--all-versions"),
        (["--consensus", "staple", "--tag", "draft"], 2, "--tag"),
        (["--tag", "approved"], 1, "there are 2 final, 1 original"),
    ],
)
def test_wrong_export_options_write_nothing(run, tmp_path, options, code, named):
    got, _, err = run("export", "--output", str(tmp_path / "out"), *options)
    assert got == code
    assert len(err.splitlines()) == 1
    assert named in err
    assert [p.name for p in tmp_path.iterdir()] == ["studies"]


@pytest.mark.parametrize("foreign", ["thesis.txt", "index.json", "masks/mine.nii.gz"])
def test_a_folder_that_is_not_all_an_export_is_left_alone(run, tmp_path, foreign):
    output = tmp_path / "out"
    if foreign.startswith("masks"):
        assert run("export", "--output", str(output))[0] == 0
    output.mkdir(exist_ok=True)
    (output / foreign).write_text("[]")
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    code, _, err = run("export", "--output", str(output))
    assert code == 1
    assert "name another" in err
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()} == before


def test_a_label_that_was_put_into_the_folder_is_exported_without_an_author(studies, run, tmp_path):
    (studies / "labels" / "final" / "c.nrrd").write_bytes(nrrd_bytes(disc(3), GEOMETRY))
    assert run("export", "--output", str(tmp_path / "out"))[0] == 0
    entry = index_of(tmp_path / "out")["labels"][-1]
    assert (entry["image_id"], entry["author"], entry["file"]) == ("c", None, "masks/c.nrrd")
