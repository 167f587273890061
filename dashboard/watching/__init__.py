"""What the monitor has stored, what the server measures and what both wrote to their logs."""
