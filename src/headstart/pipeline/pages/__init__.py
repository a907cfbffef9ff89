"""The common look of all pages: one style sheet, pictures inside the page, no network."""
