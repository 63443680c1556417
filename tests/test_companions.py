"""Every share has its companions, or a reason for having none."""

import pytest

from tests.companions import COMPANIONS, reasons, shares, unexplained


def whole(name, ceiling=0.4):
    return {name: 0.2} | {f"{name}.{c}": 0.1 for c in COMPANIONS} | {f"{name}.ceiling": ceiling}


def test_shares_are_found_by_their_names_and_their_companions_are_no_shares():
    results = whole("track.base_lua.mutual_share") | whole("published.ours.share")
    results |= whole("track.merged_origin.both") | {"merge.t": 0.5, "robust.share.lowest": 0.1}
    assert shares(results) == [
        "published.ours.share",
        "track.base_lua.mutual_share",
        "track.merged_origin.both",
    ]
    assert unexplained(results) == []


@pytest.mark.parametrize("companion", COMPANIONS)
def test_a_share_that_lacks_a_companion_is_named(companion):
    results = whole("track.base_lua.persisting_share")
    del results[f"track.base_lua.persisting_share.{companion}"]
    assert unexplained(results) == [f"track.base_lua.persisting_share.{companion}"]


def test_a_ratio_is_missed_only_where_the_ceiling_is_above_zero():
    name = "published.ours.share"
    missed = [f"{name}.ratio_to_ceiling"]
    for ceiling, low, lacking in ((0.4, 0.3, missed), (0.4, 0.01, []), (0.0, 0.0, [])):
        results = whole(name, ceiling) | {f"{name}.ceiling.ci_low": low}
        del results[f"{name}.ratio_to_ceiling"]
        assert unexplained(results) == lacking


def test_a_share_with_a_reason_may_stand_alone():
    assert (
        unexplained({"track.base_lua.unobserved_share": 0.0, "sae.lua.seed0.dead_share": 0}) == []
    )
    assert set(reasons("calibration.planted_5.share")) == {"ceiling", "ratio_to_ceiling"}
    assert reasons("track.base_lua.persisting_share") == {}
