"""Choose among candidates by their folds, score the choice on the hold-out, and make its graph."""
