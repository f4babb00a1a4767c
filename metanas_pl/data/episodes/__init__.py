"""Episodes: which images they hold, how these are changed, and how they are loaded."""
