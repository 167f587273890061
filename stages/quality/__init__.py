"""Great Expectations over the tables of the pipeline: suites, scores, data docs."""
