"""alerts."""

from dashboard.page_context import Context


def show(_: Context) -> None:
    """Show it."""
