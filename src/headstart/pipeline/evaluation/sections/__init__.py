"""Parts of the report, each made by a module of its own."""
