"""The commands of ``breastlabel``, one file an idea; `breastlabel.cli` puts them together."""
