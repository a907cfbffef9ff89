"""A version outside of MLflow: a folder that needs no server, and one file for other runtimes."""
