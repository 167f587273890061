"""Pipeline Control: what may be run, with which params, and what it will change."""
