"""Names of the paper's lineage, for code that hasn't moved to `featrack_utils.lineage` yet."""

MODELS = ("base", "lua", "stories", "merged")
EDGES = (
    ("base", "lua"),
    ("base", "stories"),
    ("lua", "merged"),
    ("stories", "merged"),
    ("base", "merged"),
)
