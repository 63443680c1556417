"""Dictionaries with a known truth, as the chapter on calibration simulates them."""

from tests.chapters import Chapter

_CHAPTER = Chapter("calibration")
Plan, Planted, Truth = _CHAPTER.Plan, _CHAPTER.Planted, _CHAPTER.Truth
Calibration, calibrate = _CHAPTER.Calibration, _CHAPTER.calibrate
PAIR, simulate, true_best_r = _CHAPTER.PAIR, _CHAPTER.simulate, _CHAPTER.true_best_r
mean_interval, proportion = _CHAPTER.mean_interval, _CHAPTER.proportion
