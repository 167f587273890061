"""The parts of the page Pipeline Control, a panel each."""
