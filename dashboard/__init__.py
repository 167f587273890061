"""The Streamlit pages: they read the server, git and the monitor, and compute no model quantity."""
