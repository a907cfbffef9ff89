"""`headstart doctor`: what is wrong on this machine or in this project, and the command that mends it."""
