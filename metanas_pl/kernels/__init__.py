"""Networks of cells as compiled programs for the CPU, and where to find the library that runs them."""
