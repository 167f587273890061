"""Bulk: an Arrow stream of rows in, one of forecasts out, and one Parquet file that keeps both."""
