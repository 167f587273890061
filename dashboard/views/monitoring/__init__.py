"""The parts of the page Monitoring: what is wrong now, and its tabs."""
