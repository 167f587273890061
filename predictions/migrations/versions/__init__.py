"""One module for each change. A change only adds; what it adds may be absent in a row."""
