"""The method as pure functions over ``dict[str, Tensor]``: torch only, no Lightning, no input or output."""
