"""Dictionaries with a known truth, as the chapter on calibration simulates them."""

from tests.chapters import Chapter

_CHAPTER = Chapter("calibration")
Plan, Planted, Truth = _CHAPTER.Plan, _CHAPTER.Planted, _CHAPTER.Truth
Calibration, calibrate = _CHAPTER.Calibration, _CHAPTER.calibrate
PAIR, simulate, true_best_r = _CHAPTER.PAIR, _CHAPTER.simulate, _CHAPTER.true_best_r
mean_interval, proportion = _CHAPTER.mean_interval, _CHAPTER.proportion

# Half of the parent's features persist; a dictionary finds 70 % of what its model has, so two
# seeds share 49 % and parent and child 24.5 %.
PLAN = Plan(
    600,
    200,
    100,
    rho=(0.95, 0.95),
    capture=0.7,
    seeds=2,
    copies=0,
    splitting=0,
    dead=0.02,
    density=0.01,
)
