"""Read what a source gave: the day of each bar, what was revised, and the files of `data/raw`."""
