"""`headstart package`: a version, its server and their libraries as the folder of a container image."""
