"""Doses of a fine-tune, under the names that chapters use until they take them from `profile`."""

from featrack_utils.pipeline.profile import check_doses, dose_steps
from featrack_utils.pipeline.profile import dose_percent as percent

__all__ = ["check_doses", "dose_steps", "percent"]
