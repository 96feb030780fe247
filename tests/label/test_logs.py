from __future__ import annotations

from pathlib import Path

from breastlabel.label.logs import trace_of, without_names


def test_a_trace_says_where_and_what_kind_but_not_what_was_said() -> None:
    try:
        Path("/nowhere/DOE^JANE.dcm").read_bytes()
    except OSError as error:
        trace = trace_of(error)
    assert trace.endswith("FileNotFoundError")
    assert "test_logs.py" in trace
    # The line of source is ours and fixed; what the error was about is not shown.
    assert "No such file" not in trace


def test_paths_lose_what_they_name() -> None:
    assert without_names("/api/images/a-1/run?client_id=x") == "/api/images/*/run"
    assert (
        without_names("/dicom-web/studies/1.2/series/3.4/metadata")
        == "/dicom-web/studies/*/series/*/metadata"
    )
