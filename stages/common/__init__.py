"""What every stage stands on: errors, paths, tables, options, and how a stage runs."""
