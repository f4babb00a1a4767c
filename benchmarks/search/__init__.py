"""Does a search find what is best? Trials on a space all of whose networks were trained."""
