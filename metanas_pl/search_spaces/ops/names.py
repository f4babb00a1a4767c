"""Names of the primitives, apart from torch: a command line checks and lists them without loading it."""

PRIMITIVES = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "conv_1x5_5x1",
    "conv_3x3",
    "sep_conv_3x3",
    "dil_conv_3x3",
)
"""The seven primitives of the MetaNAS paper, in the order of its alphas."""

NONE = "none"
"""The primitive that cannot be chosen: a mixture may contain it, a genotype may not (DARTS)."""

ALL_PRIMITIVES = (*PRIMITIVES, "sep_conv_5x5", "dil_conv_5x5", NONE)
"""Those of DARTS too."""
