"""The parts of the page Analytics: one evaluation, a comparison of two, and the experiments."""
