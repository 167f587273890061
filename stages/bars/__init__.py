"""Bars as a source gives them: the raw folder, its revisions, the sessions of an exchange."""
