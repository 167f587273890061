"""The rows that the monitor keeps, and the audit trail from which they can be rebuilt."""
