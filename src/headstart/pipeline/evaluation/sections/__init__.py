"""Parts of the report that modules of their own make, each with its template."""
