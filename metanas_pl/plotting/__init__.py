"""Pictures of cells, mixing weights, training histories and episodes, as matplotlib figures.

Figures are made without pyplot: no global state, no display. Matplotlib is imported on first use.
"""

from metanas_pl.plotting.cells import draw_cell
from metanas_pl.plotting.charts import draw_history, draw_mixing
from metanas_pl.plotting.contact_sheet import draw_contact_sheet
from metanas_pl.plotting.figures import save_figure

__all__ = ["draw_cell", "draw_contact_sheet", "draw_history", "draw_mixing", "save_figure"]
