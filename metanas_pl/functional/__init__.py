"""Pure functions over ``dict[str, Tensor]``: the method itself, without Lightning or I/O."""
