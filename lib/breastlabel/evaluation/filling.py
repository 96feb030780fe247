"""Templates of the package's reports and pages, filled so that no value can become markup."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

__all__ = ["template_environment"]


def template_environment(package: str) -> jinja2.Environment:
    """The templates in a package's folder ``templates``, by file name; everything that fills them is escaped.

    A name that nothing fills is an error, not a gap in a report.

    Args:
        package: its dotted name, as in ``breastlabel.evaluation``.
    """
    import jinja2

    folder = files(package) / "templates"
    sources = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.is_file()}
    return jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
