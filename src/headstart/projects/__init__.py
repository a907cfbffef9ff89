"""Projects of their own: begin one, and bring one to the installed version."""
