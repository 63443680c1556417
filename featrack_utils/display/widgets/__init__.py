"""Controls for the live notebooks, each over plain functions that work without them."""

from featrack_utils.display.widgets.ablating import ablation
from featrack_utils.display.widgets.blending import merge_slider
from featrack_utils.display.widgets.reading import text_reader
from featrack_utils.display.widgets.thresholds import threshold_slider

__all__ = ["ablation", "merge_slider", "text_reader", "threshold_slider"]
