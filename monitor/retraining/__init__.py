"""Train a challenger, judge it by gates, promote it or not, and take a promotion back."""
