"""metanas_pl: meta-learning of neural architectures for few-shot learning, on PyTorch Lightning."""
