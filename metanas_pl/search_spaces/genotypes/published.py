"""Published genotypes, as the text that ``str(genotype)`` gives; every node is an output."""

from __future__ import annotations

_AUTO_META = """\
(conv_3x3,1)(max_pool_3x3,1) | (conv_1x5_5x1,2)(max_pool_3x3,2) | (conv_3x3,2)(conv_1x5_5x1,3) |
(conv_3x3,3)(conv_3x3,3) | (conv_1x5_5x1,3)(conv_3x3,2)"""

# MetaNAS: github.com/boschresearch/metanas, for few-shot classification
_METANAS = {
    "metanas_v1": """
normal: (conv_3x3,0)(conv_3x3,1) | (conv_1x5_5x1,0)(dil_conv_3x3,2) |
    (conv_1x5_5x1,0)(max_pool_3x3,3)
reduce: (dil_conv_3x3,0)(sep_conv_3x3,1) | (conv_3x3,0)(max_pool_3x3,1) |
    (dil_conv_3x3,2)(conv_1x5_5x1,3)""",
    "metanas_in_v2": """
normal: (conv_1x5_5x1,0)(conv_3x3,1) | (conv_3x3,0)(sep_conv_3x3,2) |
    (dil_conv_3x3,1)(conv_1x5_5x1,3)
reduce: (sep_conv_3x3,0)(conv_3x3,1) | (conv_3x3,0)(sep_conv_3x3,2) | (conv_3x3,0)(dil_conv_3x3,1)
""",
    "metanas_og_v2": """
normal: (dil_conv_3x3,0)(sep_conv_3x3,1) | (avg_pool_3x3,0)(sep_conv_3x3,1) |
    (conv_1x5_5x1,0)(conv_3x3,2)
reduce: (skip_connect,0)(sep_conv_3x3,1) | (conv_3x3,0)(dil_conv_3x3,1) |
    (dil_conv_3x3,0)(conv_1x5_5x1,2)""",
}

# DARTS and its successors, searched on CIFAR-10 unless the name says otherwise
_DARTS = {
    # Liu et al. 2019, first and second order: github.com/quark0/darts
    "darts_v1": """
normal: (sep_conv_3x3,1)(sep_conv_3x3,0) | (skip_connect,0)(sep_conv_3x3,1) |
    (skip_connect,0)(sep_conv_3x3,1) | (sep_conv_3x3,0)(skip_connect,2)
reduce: (max_pool_3x3,0)(max_pool_3x3,1) | (skip_connect,2)(max_pool_3x3,0) |
    (max_pool_3x3,0)(skip_connect,2) | (skip_connect,2)(avg_pool_3x3,0)""",
    "darts_v2": """
normal: (sep_conv_3x3,0)(sep_conv_3x3,1) | (sep_conv_3x3,0)(sep_conv_3x3,1) |
    (sep_conv_3x3,1)(skip_connect,0) | (skip_connect,0)(dil_conv_3x3,2)
reduce: (max_pool_3x3,0)(max_pool_3x3,1) | (skip_connect,2)(max_pool_3x3,1) |
    (max_pool_3x3,0)(skip_connect,2) | (skip_connect,2)(max_pool_3x3,1)""",
    # Xu et al. 2020: github.com/yuhuixu1993/PC-DARTS
    "pc_darts_cifar": """
normal: (sep_conv_3x3,1)(skip_connect,0) | (sep_conv_3x3,0)(dil_conv_3x3,1) |
    (sep_conv_5x5,0)(sep_conv_3x3,1) | (avg_pool_3x3,0)(dil_conv_3x3,1)
reduce: (sep_conv_5x5,1)(max_pool_3x3,0) | (sep_conv_5x5,1)(sep_conv_5x5,2) |
    (sep_conv_3x3,0)(sep_conv_3x3,3) | (sep_conv_3x3,1)(sep_conv_3x3,2)""",
    "pc_darts_image": """
normal: (skip_connect,1)(sep_conv_3x3,0) | (sep_conv_3x3,0)(skip_connect,1) |
    (sep_conv_3x3,1)(sep_conv_3x3,3) | (sep_conv_3x3,1)(dil_conv_5x5,4)
reduce: (sep_conv_3x3,0)(skip_connect,1) | (dil_conv_5x5,2)(max_pool_3x3,1) |
    (sep_conv_3x3,2)(sep_conv_3x3,1) | (sep_conv_5x5,0)(sep_conv_3x3,3)""",
    # Chen et al. 2019: github.com/chenxin061/pdarts
    "p_darts": """
normal: (skip_connect,0)(dil_conv_3x3,1) | (skip_connect,0)(sep_conv_3x3,1) |
    (sep_conv_3x3,1)(sep_conv_3x3,3) | (sep_conv_3x3,0)(dil_conv_5x5,4)
reduce: (avg_pool_3x3,0)(sep_conv_5x5,1) | (sep_conv_3x3,0)(dil_conv_5x5,2) |
    (max_pool_3x3,0)(dil_conv_3x3,1) | (dil_conv_3x3,1)(dil_conv_5x5,3)""",
}

# Auto-MAML (Lian et al. 2020): github.com/dongzelian/T-NAS, 5-way miniImageNet
_AUTO_MAML = {
    "auto_maml_1shot": """
normal: (avg_pool_3x3,0)(avg_pool_3x3,1) | (avg_pool_3x3,1)(avg_pool_3x3,2) |
    (avg_pool_3x3,1)(avg_pool_3x3,2) | (dil_conv_3x3,3)(avg_pool_3x3,2)
reduce: (avg_pool_3x3,0)(dil_conv_5x5,1) | (avg_pool_3x3,0)(dil_conv_5x5,1) |
    (skip_connect,3)(dil_conv_5x5,2) | (skip_connect,4)(skip_connect,3)""",
    "auto_maml_5shot": """
normal: (dil_conv_5x5,1)(dil_conv_5x5,0) | (dil_conv_5x5,2)(dil_conv_3x3,1) |
    (sep_conv_5x5,2)(sep_conv_3x3,3) | (skip_connect,4)(dil_conv_3x3,3)
reduce: (sep_conv_5x5,0)(avg_pool_3x3,1) | (avg_pool_3x3,1)(skip_connect,2) |
    (skip_connect,2)(avg_pool_3x3,1) | (skip_connect,2)(max_pool_3x3,1)""",
}

GENOTYPE_TEXTS: dict[str, str] = {
    **_METANAS,
    "auto_meta": f"normal: {_AUTO_META}\nreduce: {_AUTO_META}",  # Kim et al. 2018, arXiv 1806.06927
    **_DARTS,
    **_AUTO_MAML,
}
"""Name -> text, to be read by ``Genotype.from_text``."""
