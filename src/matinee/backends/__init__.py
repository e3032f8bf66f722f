"""Where runs happen: one package per backend, each an adapter of the ports."""
