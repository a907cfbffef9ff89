"""The validation pages (Data Docs), rendered from the stored result."""
