"""What Pipeline Control starts and shows, without Streamlit."""
