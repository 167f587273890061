"""What trading on a forecast would have brought, against holding."""
