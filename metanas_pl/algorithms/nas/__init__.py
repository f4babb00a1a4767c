"""NAS methods: relaxations, architecture gradients, perturbations, regularisers."""
