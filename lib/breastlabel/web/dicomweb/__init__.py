"""DICOMweb over a studies folder: QIDO-RS, WADO-RS and STOW-RS (DICOM PS3.18), without a PACS."""
