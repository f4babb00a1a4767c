"""What Lightning needs around the module: gradients, skipped tasks, checkpoints, callbacks, loggers."""
