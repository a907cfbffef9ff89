"""A person looks at the findings, decides, and mends the data; everything can be taken back."""
