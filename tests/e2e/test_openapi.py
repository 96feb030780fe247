"""Every operation of the server's own OpenAPI document, asked for what it allows and for what it does not.

Schemathesis makes the requests. Where a parameter names something, half of them name what is there, for else
nearly all of them would end at the first look-up. No operation may answer 500.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from tests.apps import built_app

from breastlabel.catalog.case_order import CaseStatus
from breastlabel.datasets.phantoms import write_mammogram_phantoms, write_phantom_studies
from breastlabel.label.access import ALLOW_REMOTE
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.server import build_server
from breastlabel.web.cases.worklist import Worklist

pytestmark = pytest.mark.slow

_EXAMPLES = 6
#: They begin minutes of work in other threads and processes, which would go on beside all other requests.
#: Their options are tested where they are read: tests/label/test_train.py, test_scoring.py, test_server.py.
_LONG = {
    ("POST", "/train/{model}"),
    ("POST", "/scoring/"),
    ("POST", "/scoring/{method}"),
    ("POST", "/batch/infer/{model}"),
}
#: A network reads an image for each good request, which takes a second; these are asked in test_server.py.
_NETWORK = {("POST", "/infer/{model}"), ("POST", "/api/images/{image_id}/run"), ("POST", "/api/readings")}
_NETWORK_EXAMPLES = 2


class _Names:
    """What is there, by the name of the parameter that asks for it; it stays after an image was taken out."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}

    def put(self, values: dict[str, Any] | None) -> dict[str, Any] | None:
        """All names replaced by such as are there, or none of them; which, the values' text decides."""
        if not isinstance(values, dict):
            return values
        drawn = zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))
        if drawn % 2:
            return values
        there = {name: self.known[name] for name in values if name in self.known}
        return values | {name: known[drawn // 2 % len(known)] for name, known in there.items()}


_NAMES = _Names()
_DICOM_PARTS = 'multipart/related; type="application/dicom"'


def _file(value: Any) -> bytes:
    drawn = getattr(value, "data", value)
    content = drawn if isinstance(drawn, bytes) else str(drawn).encode("utf-8", "replace")
    # With the mark of a DICOM file every other time: else its reading would always end there.
    return bytes(128) + b"DICM" + content if zlib.crc32(content) % 2 else content


@schemathesis.serializer("application/dicom")
def _one_file(context: Any, value: Any) -> bytes:
    return _file(value)


@schemathesis.serializer(_DICOM_PARTS)
def _one_part(context: Any, value: Any) -> bytes:
    """What is stored over DICOMweb, as the body's only part."""
    return b"--part\r\nContent-Type: application/dicom\r\n\r\n" + _file(value) + b"\r\n--part--\r\n"


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document of a server over an exam of four mammograms with a prior, and an ultrasound image."""
    folder = tmp_path_factory.mktemp("openapi")
    studies = folder / "studies"
    write_mammogram_phantoms(studies, exams=1, seed=7, shape=(64, 64), priors=1.0, labelled=1.0)
    write_phantom_studies(studies, exams=1, seed=7, images_per_exam=1, shape=(48, 64), labelled=0.0)
    with pytest.MonkeyPatch.context() as patch:
        # The requests come from a machine named "testclient".
        patch.setenv(ALLOW_REMOTE, "1")
        conf = {"models": "ultrasound", "read_on_arrival": "false"}
        with built_app(studies, folder / "app", **conf) as app:
            schema = schemathesis.openapi.from_asgi("/openapi.json", build_server(app))
            _NAMES.known = _known(app)
            schema.hook("map_path_parameters")(lambda context, values: _NAMES.put(values))
            schema.hook("map_query")(lambda context, values: _NAMES.put(values))
            yield schema


def _known(app: BreastLabelApp) -> dict[str, list[str]]:
    page = Worklist(app).page(status=CaseStatus.ALL, modality=None, strategy=None, offset=0, limit=10)
    cases = page["cases"]
    images = [image for case in cases for image in case["images"]]
    ids = [image["image_id"] for image in images]
    first = images[0]
    return {
        **dict.fromkeys(("image_id", "image", "label"), ids),
        "id": ids[-1:],
        "case_id": [case["case_id"] for case in cases],
        # Of one image, so that what they name together is there too.
        "study": [first["study_instance_uid"]],
        "series": [first["series_instance_uid"]],
        "instance": [first["sop_instance_uid"]],
        "study_instance_uid": [image["study_instance_uid"] for image in images],
        "sop_instance_uid": [image["sop_instance_uid"] for image in images],
        "frames": ["1", "2", "1,1"],
        "place": ["7FE00010"],
        "model": ["ultrasound"],
        "strategy": ["random"],
        "tag": ["original", "final"],
    }


def _asked(operation: Any, mode: GenerationMode, most: int, statuses: set[int]) -> list[str]:
    """What went wrong with requests that the document allows (positive), or does not (negative)."""
    failures: list[str] = []

    @settings(
        max_examples=most,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        headers = (
            {"Content-Type": f"{_DICOM_PARTS}; boundary=part"} if case.media_type == _DICOM_PARTS else None
        )
        answer = case.call(headers=headers)
        statuses.add(answer.status_code)
        if answer.status_code == 500:
            failures.append(f"{operation.label}: {case.as_curl_command()}: {answer.text[:200]}")

    # Where nothing can be wrong, for an operation takes nothing, there is no such request.
    with contextlib.suppress(Unsatisfiable):
        ask()
    return failures


def test_no_operation_fails(openapi: Any) -> None:
    operations = [found.ok() for found in openapi.get_all_operations()]
    asked = [o for o in operations if (o.method.upper(), o.path) not in _LONG]
    failures: list[str] = []
    answered = 0
    for operation in asked:
        statuses: set[int] = set()
        most = _NETWORK_EXAMPLES if (operation.method.upper(), operation.path) in _NETWORK else _EXAMPLES
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            failures += _asked(operation, mode, most, statuses)
        print(operation.label, sorted(statuses))
        answered += any(status < 300 for status in statuses)
    assert not failures, "\n".join(failures)
    assert len(operations) - len(asked) == len(_LONG)
    assert answered > len(asked) / 2, "most requests ended at a look-up"
    groups = {operation.path.split("/")[1] for operation in asked}
    # MONAI Label's routes, the archive's, the pages' and viewers' interface, and the engineers'.
    assert {"info", "infer", "datastore", "activelearning", "model", "session", "logs"} <= groups
    assert {"dicom-web", "api", "auth", "health", "metrics"} <= groups
