"""Images: one row for each image of a studies folder, and the state of the last folder scan."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "images",
        sa.Column("image_id", sa.String, primary_key=True),
        sa.Column("file", sa.String, nullable=False),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("modality", sa.String(8), nullable=False),
        sa.Column("patient_key", sa.String, nullable=False),
        sa.Column("study_key", sa.String),
        sa.Column("laterality", sa.String(1)),
        sa.Column("view_position", sa.String(8)),
        sa.Column("group_key", sa.String, nullable=False),
        sa.Column("split", sa.String(8)),
        sa.Column("label", sa.String(16)),
        sa.Column("reviewed", sa.Boolean, nullable=False),
        sa.Column("excluded", sa.String),
        sa.Column("spacing_rows", sa.Float),
        sa.Column("spacing_cols", sa.Float),
        sa.Column("metadata", sa.JSON, nullable=False),
    )
    op.create_index("ix_images_patient_key", "images", ["patient_key"])
    op.create_index("ix_images_group_key", "images", ["group_key"])
    op.create_index("ix_images_split", "images", ["split"])
    op.create_table(
        "catalog_state",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("catalog_state")
    op.drop_table("images")
