"""breastlabel as a MONAI Label app: the only part of the package that imports ``monailabel``.

``breastlabel.label.app`` holds the app class, ``server`` the HTTP application that takes the place of
MONAI Label's own, ``routes`` its routes, and the rest adapts the project's tasks to MONAI Label's
interfaces. Nothing is imported here, because every worker process that needs one small part would pay
for all of them.
"""
