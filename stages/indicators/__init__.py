"""The features of a bar, each defined once for training, serving and benchmarks."""
