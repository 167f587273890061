"""What people do with revisions: refresh, experiments, search, remote, release, lineage, report."""
