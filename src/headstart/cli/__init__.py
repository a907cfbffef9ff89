"""The commands, one file per group; heavy imports come late."""
