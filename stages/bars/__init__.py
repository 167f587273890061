"""Bars made fit to be used: rules, sessions, corporate actions, and the record of it all."""
