"""The DICOM index: one row for each instance that viewers can ask for, and one for each study."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "dicom_studies",
        sa.Column("study_instance_uid", sa.String(64), primary_key=True),
        sa.Column("patient_id", sa.String),
        sa.Column("patient_name", sa.String),
        sa.Column("study_date", sa.String(8)),
        sa.Column("study_time", sa.String(13)),
        sa.Column("accession_number", sa.String),
        sa.Column("study_description", sa.String),
        sa.Column("attributes", sa.JSON, nullable=False),
    )
    op.create_index("ix_dicom_studies_patient_id", "dicom_studies", ["patient_id"])
    op.create_index("ix_dicom_studies_accession_number", "dicom_studies", ["accession_number"])
    op.create_index("ix_dicom_studies_date", "dicom_studies", ["study_date", "study_instance_uid"])
    op.create_table(
        "dicom_instances",
        sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("image_id", sa.String, unique=True),
        sa.Column("file", sa.String),
        sa.Column("stamp", sa.String(48)),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
    )
    for name, columns in {
        "series_instance_uid": ["series_instance_uid"],
        "place": ["study_instance_uid", "series_instance_uid", "modality"],
        "modality": ["modality", "study_instance_uid"],
    }.items():
        op.create_index(f"ix_dicom_instances_{name}", "dicom_instances", columns)


def downgrade() -> None:
    op.drop_table("dicom_instances")
    op.drop_table("dicom_studies")
