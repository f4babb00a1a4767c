"""Meta-learners: from one task to its meta-gradient, and the mean over tasks."""
