"""Plotly charts as pure functions of a frame: no Streamlit, no reading."""
