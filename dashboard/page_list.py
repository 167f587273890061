"""The pages, of which `navigation` makes the menu, and which tests and benchmarks open."""

from typing import Final

PAGES: Final = {
    "Home": "",
    "Predictions": "predictions",
    "Analytics": "analytics",
    "Pipeline Control": "pipeline-control",
    "Monitoring": "monitoring",
}
"""The path of each in its address, by its title, in the order of the menu."""
